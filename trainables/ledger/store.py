"""Where a results folder's bytes are kept: whole objects under keys, written at once or not at all."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import uuid4

from trainables.errors import LedgerError
from trainables.ledger.errors import MissingKeyError, StorageGoneError
from trainables.ledger.patience import Patience

Keys = list[str]
_Result = TypeVar("_Result")

_STALE_SECONDS = 3600.0
_GONE = (errno.ENOENT, errno.ESTALE)  # NFS answers ESTALE for a file that another host deleted
_PASSING = (
    *(errno.ENOENT, errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.EAGAIN),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
    *(errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EINTR, errno.EBUSY),
)
"""What mounts answer while their server is away; ENOENT where a folder was removed between two steps of a write."""
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

    def __init__(self, root: Path, *, marker: str | None = None, patience: Patience | None = None) -> None:
        """
        Args:
            root: the folder.
            marker: a key that is there for as long as the folder is. A mount that is away leaves an empty folder: what
                is written there is lost, and what is not found there may exist.
            patience: waits for what may pass; by default nothing is waited for.
        """
        self.root, self._marker = root, marker
        self._patience = patience or Patience(str(root), pauses=())

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
        self._tried("write", path, partial(self._write, path, data, durable=durable))

    def _write(self, path: Path, data: bytes, *, durable: bool) -> None:
        self._require_here()
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        try:
            self._stage(temporary, data, durable=durable)
            self._publish(temporary, path, durable=durable)
        except OSError:
            with suppress(OSError):  # the failed write is what the message must be about
                temporary.unlink(missing_ok=True)
            raise

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
        return self._tried("read", path, partial(self._read, path))

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._require_here()
            raise MissingKeyError(f"{path} does not exist") from error

    def exists(self, key: str) -> bool:
        """Whether the file is there."""
        path = self._path(key)
        return self._tried("look for", path, partial(self._is_there, path))

    def _is_there(self, path: Path) -> bool:
        found = path.is_file()
        if not found:
            self._require_here()
        return found

    def delete(self, key: str) -> None:
        """Removes the file; its folder stays."""
        path = self._path(key)
        self._tried("delete", path, partial(self._unlink, path))

    def _unlink(self, path: Path) -> None:
        self._require_here()
        path.unlink(missing_ok=True)

    def list(self, *prefixes: str) -> Keys:
        """Walks the folder part of `prefixes`; names with a leading dot are unfinished writes and left out."""
        folder, slash, _ = prefixes[0].rpartition("/")
        starts = tuple(prefix.removeprefix(folder + slash) for prefix in prefixes)
        top = self._path(folder)
        return sorted(self._tried("list", top, partial(self._walk, top, folder + slash, starts)))

    def _walk(self, top: Path, folder: str, starts: tuple[str, ...]) -> Keys:
        keys = list(_keys_in(str(top), folder, starts))
        self._require_here()
        return keys

    def clean(self) -> None:
        """Removes temporary files and empty subfolders older than an hour: no living writer needs them."""
        self._tried("clean", self.root, self._sweep)

    def _sweep(self) -> None:
        newest = time.time() - _STALE_SECONDS
        for top, _, names in os.walk(self.root, topdown=False, onerror=_unless_gone):
            folder = Path(top)
            for name in names:
                if name.startswith(".") and name.endswith(".tmp") and _older(folder / name, newest):
                    (folder / name).unlink(missing_ok=True)
            if folder.parent not in (self.root, self.root.parent) and _older(folder, newest):
                with suppress(OSError):  # not empty
                    folder.rmdir()

    def _require_here(self) -> None:
        if self._marker is not None and not (self.root / self._marker).exists():
            raise _FolderGoneError(errno.ENOENT, f"it has no {self._marker} (unmounted, moved or deleted?)")

    def _tried(self, verb: str, path: Path, action: Callable[[], _Result]) -> _Result:
        """Repeats what may pass. Every action may be repeated: also one that was done, and failed at its last step."""
        try:
            return self._patience.repeat(action, passes=_passes)
        except _FolderGoneError as error:
            raise StorageGoneError(
                f"results folder {self.root} is gone: {error.strerror}; bring it back, then run the same command again"
            ) from error
        except OSError as error:
            raise _failure(verb, path, error) from error

    def _path(self, key: str) -> Path:
        require_key(key, self.location)
        return self.root / key


def require_key(key: str, location: str) -> None:
    """Raises LedgerError for a key that leads out of its results folder."""
    if key.startswith("/") or ".." in key.split("/"):
        raise LedgerError(f"'{key}' is not a key of the results folder {location}: keys are relative paths in it")


class _FolderGoneError(OSError):
    """Not one object is away but all of them."""


def _passes(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _PASSING


def _failure(verb: str, path: Path, error: OSError) -> LedgerError:
    remedy = _REMEDIES.get(error.errno or 0, "check the folder's file system")
    return LedgerError(f"cannot {verb} {path}: {error.strerror or error}; {remedy}, then run the same command again")


def _keys_in(top: str, folder: str, starts: tuple[str, ...] = ("",)) -> Iterator[str]:
    """Keys of the files below `top` whose first name begins with one of `starts`; others cost next to nothing.

    Folders with a leading dot are a file server's, such as `.snapshot`.
    """
    try:
        with os.scandir(top) as entries:
            found = [entry for entry in entries if entry.name.startswith(starts) and not entry.name.startswith(".")]
    except OSError as error:
        _unless_gone(error)
        return
    for entry in found:
        if not entry.is_dir():
            yield folder + entry.name
        elif not entry.is_symlink():
            yield from _keys_in(entry.path, f"{folder}{entry.name}/")


def _unless_gone(error: OSError) -> None:
    """Another process may have removed a subfolder."""
    if error.errno not in _GONE:
        raise error


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
