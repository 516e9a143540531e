"""Fixtures for launches; what they give stands in `launched.py`."""

import importlib.util
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
if "ray" not in sys.modules:  # Ray of these tests listens on all interfaces: not to strangers
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

from launched import Study


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For temporary files: a path that is short enough for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix="dmlt", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def study(tmp_path: Path, short_folder: Path) -> Iterator[Study]:
    study = Study(tmp_path, short_folder)
    yield study
    study.kill_all()


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray for all launches of this module. It believes in a GPU that is not there."""
    import ray

    from study.launch.cluster import ray_session

    folder, init = Path(tempfile.mkdtemp(prefix="dmlt", dir="/tmp")), ray.init
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "init", lambda **options: init(**{**options, "num_gpus": 1}))
        with ray_session(None, folder=folder, gpus=True):
            yield
    shutil.rmtree(folder, ignore_errors=True)


def _s3_server() -> ModuleType:
    path = Path(__file__).parents[2] / "trainables" / "ledger" / "s3_server.py"
    spec = importlib.util.spec_from_file_location("s3_server", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3-compatible server with a bucket, `bucket`; commands that a test starts find it by their environment."""
    module = _s3_server()
    with module.S3Server("bucket") as server:
        for name, value in module.ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server.endpoint}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield server
