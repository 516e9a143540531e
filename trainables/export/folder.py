"""A folder that appears whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from trainables.datasets.storage import storage_errors
from trainables.errors import ConfigError

_REMEDY = "choose another place with --to"


def require_new(place: Path) -> None:
    """
    Raises:
        ConfigError: something stands there, other than an empty folder.
    """
    taken = any(place.iterdir()) if place.is_dir() else place.exists() or place.is_symlink()
    if taken:
        raise ConfigError(f"{place} exists already and stays as it is; {_REMEDY}, or remove it")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target`, which gets its name when the block ends without an error.

    Raises:
        ConfigError: something stands at `target`.
        DataError: it cannot be written, the disk is full for instance; nothing is left behind.
    """
    require_new(target)
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    with storage_errors(target, remedy=_REMEDY):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if target.is_dir():
                target.rmdir()
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """The same for a file; an older one at `target` is replaced."""
    temporary = target.with_name(f".{uuid4().hex}.{target.name}")
    with storage_errors(target, remedy=_REMEDY):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
