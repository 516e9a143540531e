"""Makes `ledger_tools` importable for the tests beside it, and spares the disk: they kill processes, not machines."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


from s3_server import ENVIRONMENT, S3Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An S3-compatible server with the bucket `bucket`, and the credentials for it in the environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with S3Server("bucket") as server:
        yield server


@pytest.fixture(params=["folder", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger may be made: a test that asks for it runs on a local folder and on an object store."""
    if request.param == "folder":
        return str(tmp_path / "results")
    server: S3Server = request.getfixturevalue("server")
    return server.uri("bucket/results")


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
