"""Cache folders that exist whole or not at all: one process builds, the others wait, a kill leaves no half of one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

__all__ = ["build_once"]


def build_once(folder: Path, build: Callable[[Path], None], *, is_valid: Callable[[Path], bool]) -> Path:
    """Returns `folder`, built first where it is absent or invalid.

    `build` fills a temporary folder beside `folder`; its files are flushed to the disk and the folder gets its name in
    one rename, so no reader ever sees a part of it. A lock beside it (`.<name>.lock`, released by the operating system
    when its holder dies) makes every other process wait and then take what the first one built. What a killed build
    left behind is removed by the next one.

    Args:
        folder: the cache entry; its parents are made.
        build: writes all files of the entry into the existing, empty folder that it gets.
        is_valid: whether an existing entry may be used as it is; asked without the lock, so it must only read. An
            entry that it refuses (damaged, another version) is replaced.

    Raises:
        RuntimeError: what `build` wrote is refused by `is_valid`.
        OSError: the folder cannot be written, the disk is full for instance; nothing is left behind.
    """
    if _usable(folder, is_valid):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not _usable(folder, is_valid):
            _build(folder, build, is_valid)
    return folder


def _usable(folder: Path, is_valid: Callable[[Path], bool]) -> bool:
    return folder.is_dir() and is_valid(folder)


def _build(folder: Path, build: Callable[[Path], None], is_valid: Callable[[Path], bool]) -> None:
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    try:
        for leftover in (new, old):  # of a killed build: only the holder of the lock writes these
            _remove(leftover)
        new.mkdir()
        build(new)
        if not is_valid(new):
            raise RuntimeError(f"cache entry {folder} is refused right after it was built")
        _flush(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        _flush_one(folder.parent)
    finally:
        for leftover in (new, old):
            _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        _flush_one(path)
    _flush_one(folder)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
