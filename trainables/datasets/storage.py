"""Where caches lie, and what to tell a person whose disk is full or not writable."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.errors import DataError

__all__ = ["cache_folder", "require_space", "storage_errors"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST}
_REMEDY = "set DML_STUDY_CACHE to a folder on a disk with room"


def cache_folder() -> Path:
    """Decoded images, features and hashes: $DML_STUDY_CACHE, or ~/.cache/dml-study."""
    return Path(os.environ.get("DML_STUDY_CACHE") or "~/.cache/dml-study").expanduser().absolute()


def require_space(folder: Path, needed: int) -> None:
    """Asks for `needed` bytes before hours of work go into a disk that cannot hold them.

    Raises:
        DataError: the file system of the existing `folder` has less free space.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(f"{folder}: {needed} bytes needed and {free} free; delete something or {_REMEDY}")


@contextmanager
def storage_errors(folder: Path, *, needed: int | None = None) -> Iterator[None]:
    """Turns what a full or read-only disk raises into a `DataError` that names the folder and the bytes needed."""
    try:
        yield
    except OSError as error:
        size = "" if needed is None else f", {needed} bytes needed"
        if error.errno in _FULL:
            raise DataError(
                f"{folder}: the disk is full{size} ({error.strerror}); free some space or {_REMEDY}"
            ) from error
        if error.errno in _REFUSED:
            raise DataError(f"{folder} cannot be written ({error.strerror}); {_REMEDY} that is yours") from error
        raise
