"""Where a results folder's bytes are kept: whole objects under keys, written at once or not at all."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from trainables.errors import LedgerError
from trainables.ledger.errors import MissingKeyError

Keys = list[str]

_STALE_SECONDS = 3600.0
_GONE = (errno.ENOENT, errno.ESTALE)  # NFS answers ESTALE for a file that another host deleted
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "the disk or quota is full: free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "permission is missing: change the folder's owner or mode"),
    errno.EROFS: "the file system is read-only: remount it or choose another results folder",
}


class Store(Protocol):
    """What the ledger needs of a storage: a local folder, or a folder of an object store."""

    @property
    def location(self) -> str:
        """Path or address, for messages and for the origin of copied rows."""

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Stores all of `data` or, when killed, nothing. `durable=False` may be forgotten by a power cut."""

    def get(self, key: str) -> bytes:
        """The bytes under a key; `MissingKeyError` when there are none."""

    def exists(self, key: str) -> bool:
        """Whether `get` would find something."""

    def delete(self, key: str) -> None:
        """Removes a key; an absent one is fine."""

    def list(self, *prefixes: str) -> Keys:
        """All keys that start with one of `prefixes`, which name one folder, sorted; no unfinished writes."""

    def clean(self) -> None:
        """Removes what killed writers left behind long ago."""


class LocalStore:
    """A folder on a local disk or NFS."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def location(self) -> str:
        """Absolute path of the folder."""
        return str(self.root)

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Temporary file in the same folder, fsync, rename, fsync of the folder.

        Raises:
            LedgerError: the disk is full, permission is missing, ...; nothing of the object is visible then.
        """
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        try:
            self._stage(temporary, data, durable=durable)
            self._publish(temporary, path, durable=durable)
        except OSError as error:
            with suppress(OSError):  # the failed write is what the message must be about
                temporary.unlink(missing_ok=True)
            raise _failure("write", path, error) from error

    def _stage(self, temporary: Path, data: bytes, *, durable: bool) -> None:
        _make_folder(temporary.parent)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())

    def _publish(self, temporary: Path, path: Path, *, durable: bool) -> None:
        temporary.replace(path)
        if durable:
            _sync_folder(path.parent)

    def get(self, key: str) -> bytes:
        """The whole object."""
        path = self._path(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise _failure("read", path, error) from error

    def exists(self, key: str) -> bool:
        """Whether the file is there."""
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        """Removes the file; its folder stays."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _failure("delete", path, error) from error

    def list(self, *prefixes: str) -> Keys:
        """Walks the folder part of `prefixes`; names with a leading dot are unfinished writes and left out."""
        folder, slash, _ = prefixes[0].rpartition("/")
        starts = tuple(prefix.removeprefix(folder + slash) for prefix in prefixes)
        return sorted(_keys_in(str(self._path(folder)), folder + slash, starts))

    def clean(self) -> None:
        """Removes temporary files and empty subfolders older than an hour: no living writer needs them."""
        newest = time.time() - _STALE_SECONDS
        for top, _, names in os.walk(self.root, topdown=False, onerror=_unlistable):
            folder = Path(top)
            for name in names:
                if name.startswith(".") and name.endswith(".tmp") and _older(folder / name, newest):
                    (folder / name).unlink(missing_ok=True)
            if folder.parent not in (self.root, self.root.parent) and _older(folder, newest):
                with suppress(OSError):  # not empty
                    folder.rmdir()

    def _path(self, key: str) -> Path:
        require_key(key, self.location)
        return self.root / key


def require_key(key: str, location: str) -> None:
    """Raises LedgerError for a key that leads out of its results folder."""
    if key.startswith("/") or ".." in key.split("/"):
        raise LedgerError(f"'{key}' is not a key of the results folder {location}: keys are relative paths in it")


def _failure(action: str, path: Path, error: OSError) -> LedgerError:
    if error.errno in _GONE and action == "read":
        return MissingKeyError(f"{path} does not exist")
    remedy = _REMEDIES.get(error.errno or 0, "check the folder's file system")
    return LedgerError(f"cannot {action} {path}: {error.strerror or error}; {remedy}, then run the same command again")


def _keys_in(top: str, folder: str, starts: tuple[str, ...] = ("",)) -> Iterator[str]:
    """Keys of the files below `top` whose first name begins with one of `starts`; others cost next to nothing."""
    try:
        with os.scandir(top) as entries:
            found = [entry for entry in entries if entry.name.startswith(starts)]
    except OSError as error:
        _unlistable(error)
        return
    for entry in found:
        if not entry.is_dir():
            if not entry.name.startswith("."):
                yield folder + entry.name
        elif not entry.is_symlink():
            yield from _keys_in(entry.path, f"{folder}{entry.name}/")


def _unlistable(error: OSError) -> None:
    if error.errno not in _GONE:
        raise _failure("list", Path(error.filename), error) from error


def _older(path: Path, newest: float) -> bool:
    try:
        return path.stat().st_mtime < newest
    except FileNotFoundError:
        return False


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
