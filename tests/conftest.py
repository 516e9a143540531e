"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real images and ImageNet weights: $DML_STUDY_DATA, or `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("DML_STUDY_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images: {folder} does not exist; set DML_STUDY_DATA to the folder that holds them")
    return folder


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of decoded images live in one folder per test session, never in the user's."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("DML_STUDY_CACHE", str(folder))
    return folder
