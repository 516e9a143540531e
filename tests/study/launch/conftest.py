"""Fixtures for launches; what they give stands in `launched.py`."""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

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
