"""Fixtures for launches; what they give stands in `launched.py`."""

import importlib.util
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
if "ray" not in sys.modules:  # Ray of these tests listens on all interfaces: not to strangers
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

from launched import Study

FOLDER = Path(__file__).parent
_ray = ExitStack()
"""Ends the Ray that tests share."""


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
def ray_here() -> None:
    """One Ray for all launches in this process. It believes in a GPU that is not there."""
    import ray

    from study.launch.cluster import ray_session

    if ray.is_initialized():  # for another module
        return
    folder, init = Path(tempfile.mkdtemp(prefix="dmlt", dir="/tmp")), ray.init
    _ray.callback(shutil.rmtree, folder, ignore_errors=True)
    patch = _ray.enter_context(pytest.MonkeyPatch.context())
    patch.setattr(ray, "init", lambda **options: init(**{**options, "num_gpus": 1}))
    _ray.enter_context(ray_session(None, folder=folder, gpus=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a Ray come first: it starts once, and runs beside no other."""
    together = iter(sorted(filter(_is_here, items), key=lambda item: not _shares_ray(item)))
    items[:] = [next(together) if _is_here(item) else item for item in items]


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    if nextitem is None or not _shares_ray(nextitem):
        _ray.close()


def _is_here(item: pytest.Item) -> bool:
    return item.path.parent == FOLDER


def _shares_ray(item: pytest.Item) -> bool:
    return "ray_here" in getattr(item, "fixturenames", ())


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
