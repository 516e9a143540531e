"""Room on the disk: where caches lie, how large they may become, and what to tell a person where there is none."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.errors import ConfigError, DataError

__all__ = ["ARRAY_REMEDY", "CACHE_REMEDY", "INTO_REMEDY", "cache_folder", "mebibytes", "require_cache_room"]
__all__ += ["require_room", "storage_errors"]

CACHE_REMEDY = "set DML_STUDY_CACHE to another folder"
"""What helps where a cache cannot be written."""
ARRAY_REMEDY = f"{CACHE_REMEDY}, or keep no decoded images (dataset.decode: each_time)"
"""What helps where decoded images do not fit."""
INTO_REMEDY = "choose another folder with --into"
"""What helps where a dataset cannot be unpacked or downloaded."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def cache_folder() -> Path:
    """Decoded images, features and hashes: $DML_STUDY_CACHE, or ~/.cache/dml-study."""
    return Path(os.environ.get("DML_STUDY_CACHE") or "~/.cache/dml-study").expanduser().absolute()


def mebibytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 2**20:,.1f} MiB"


def require_room(folder: Path, needed: int, *, remedy: str) -> None:
    """Asks for `needed` bytes before hours of work go into a disk that cannot hold them.

    Args:
        folder: exists; where the bytes go.
        remedy: what helps besides freeing some space.

    Raises:
        DataError: the file system has less free space.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(f"{folder}: {mebibytes(needed)} needed and {mebibytes(free)} free; free some space or {remedy}")


def require_cache_room(folder: Path, needed: int, *, arrays: str) -> None:
    """`require_room` for decoded images, which the user may give a limit.

    Args:
        folder: exists; where the bytes go.
        arrays: pattern of the files below it that count towards $DML_STUDY_CACHE_LIMIT.

    Raises:
        DataError: the file system has less free space, or the limit leaves less.
        ConfigError: the limit is no size.
    """
    require_room(folder, needed, remedy=ARRAY_REMEDY)
    limit = _limit()
    if limit is None:
        return
    used = sum(path.stat().st_size for path in folder.glob(arrays))
    if used + needed > limit:
        raise DataError(
            f"{folder}: {mebibytes(needed)} needed, and of the {mebibytes(limit)} that DML_STUDY_CACHE_LIMIT allows "
            f"{mebibytes(used)} are taken; delete something, raise the limit or {ARRAY_REMEDY}"
        )


def _limit() -> int | None:
    """$DML_STUDY_CACHE_LIMIT in bytes."""
    text = os.environ.get("DML_STUDY_CACHE_LIMIT", "").strip()
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B)?", text.upper())
    if match is None:
        raise ConfigError(f"DML_STUDY_CACHE_LIMIT is '{text}'; write a size like 500MB, 20GB or 1.5TB")
    return int(float(match[1]) * _UNITS[match[2] or ""])


@contextmanager
def storage_errors(place: Path, *, remedy: str, needed: int | None = None) -> Iterator[None]:
    """Turns what a full, read-only or odd file system raises into a `DataError` that names the file or folder.

    Args:
        remedy: one of those above.
        needed: bytes to be written, where it is known.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        if error.errno not in _FULL:
            raise DataError(f"{place} cannot be written ({reason}); {remedy}") from error
        size = "" if needed is None else f", {mebibytes(needed)} needed"
        raise DataError(f"{place}: the disk is full{size} ({reason}); free some space or {remedy}") from error
