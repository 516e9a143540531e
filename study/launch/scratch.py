"""Temporary folders of launches: short paths, removed at the end, and those of killed launches at the next start."""

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.ledger.process import own_start_time, process_start_time

_PREFIX = "dml-study-"
_OWNER = "owner.json"
_LONGEST_PARENT = 24
"""Ray's sockets lie 82 characters deeper, and the operating system allows 107."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what Ray writes during one launch."""
    parent = short_folder()
    for orphan in _orphans(parent):
        shutil.rmtree(orphan, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        (folder / _OWNER).write_text(json.dumps(_owner()))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def short_folder() -> Path:
    """The folder for temporary files, or /tmp where its path is too long for Ray's sockets."""
    folder = tempfile.gettempdir()
    return Path(folder if len(folder) <= _LONGEST_PARENT else "/tmp")


def _owner() -> dict[str, str | int]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "process_start_time": own_start_time()}


def _orphans(parent: Path) -> Iterator[Path]:
    """Folders whose process ran on this host and is gone."""
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            owner = json.loads((folder / _OWNER).read_text())
            here, pid, start = owner["host"] == socket.gethostname(), owner["pid"], owner["process_start_time"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # just being made, or somebody else's
        if here and process_start_time(pid) != start:
            yield folder
