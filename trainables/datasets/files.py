"""The files of a dataset, in a directory or in a zip: their names, what tells that one changed, and their bytes."""

import re
import stat
import threading
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from lzma import LZMAError
from os import scandir
from pathlib import Path
from typing import IO, Protocol

from trainables.errors import DataError

__all__ = ["DAMAGED", "Files", "ListedFiles", "Stamp", "directory_files", "is_junk", "opened_zip", "shown"]
__all__ += ["unsafe_name", "zip_files"]

Stamp = tuple[int, ...]
"""Size in bytes, then whatever else changes when the content does (modification time in nanoseconds)."""

DAMAGED = (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error, LZMAError)
"""What reading a file, or a member of a zip, raises where bytes are missing or other ones."""

_DEEPEST = 6
_MOST_PARTS = 64
_LONGEST = 300
_NO_TEXT = {"Cc": "holds control characters", "Cs": "is not UTF-8"}


class Files(Protocol):
    """Names are relative, with forward slashes, and free of what file managers leave behind (see `is_junk`)."""

    @property
    def location(self) -> Path:
        """Where they are, for messages and for remembering hashes."""
        ...

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """Every file's stamp, in the order of names."""
        ...

    @property
    def folders(self) -> frozenset[str]:
        """Every folder, empty ones too."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """One file's bytes as a stream."""
        ...

    def read(self, name: str) -> bytes:
        """One file's bytes; safe to call from several threads."""
        ...


class ListedFiles:
    """Files below one folder of a file system."""

    def __init__(self, location: Path, root: Path, names: Iterable[str], folders: Iterable[str] = ()) -> None:
        self.location = location
        self.root = root
        self.folders = frozenset(folders)
        self.stamps: dict[str, Stamp] = {name: _stamp(root / name) for name in sorted(names)}

    def open(self, name: str) -> IO[bytes]:
        return (self.root / name).open("rb")

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()


class _ZipFiles:
    """Members of a zip; the stamp of each has the size and the time of the whole archive."""

    def __init__(self, location: Path, archive: zipfile.ZipFile) -> None:
        members = {info.filename: info for info in archive.infolist() if not is_junk(info.filename)}
        files = [name for name in members if not name.endswith("/")]
        folders = {name.rstrip("/") for name in members if name.endswith("/")} | _parents(files)
        prefix = _wrapper(folders)
        status = location.stat()
        self.location = location
        self.folders = frozenset(name.removeprefix(prefix) for name in folders if name + "/" != prefix)
        self.stamps: dict[str, Stamp] = {
            name.removeprefix(prefix): (members[name].file_size, status.st_size, status.st_mtime_ns)
            for name in sorted(files)
        }
        self._archive, self._prefix, self._lock = archive, prefix, threading.Lock()

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(self._prefix + name)

    def read(self, name: str) -> bytes:
        with self._lock:
            return self._archive.read(self._prefix + name)


def directory_files(folder: Path) -> ListedFiles:
    """All files below a folder. One outer folder around the splits is left out of the names, as it is in a zip."""
    found = dict(_walk(folder, "", 1))
    folders = {name for name, is_folder in found.items() if is_folder}
    prefix = _wrapper(folders)
    return ListedFiles(
        folder,
        folder / prefix,
        (name.removeprefix(prefix) for name, is_folder in found.items() if not is_folder),
        (name.removeprefix(prefix) for name in folders if name + "/" != prefix),
    )


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); remove or repair it") from error
    return status.st_size, status.st_mtime_ns


def _walk(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, bool]]:
    if depth > _DEEPEST:
        raise DataError(f"{folder}: folders are nested too deep; a dataset is laid out as <split>/<class>/<image>")
    with scandir(folder) as entries:
        for entry in entries:
            if is_junk(entry.name):
                continue
            yield prefix + entry.name, entry.is_dir()
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", depth + 1)


@contextmanager
def zip_files(path: Path) -> Iterator[Files]:
    """The members of a zip as files of a dataset; see `opened_zip`."""
    with opened_zip(path) as archive:
        yield _ZipFiles(path, archive)


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip after a look at its members: what could write or point outside is refused.

    Raises:
        DataError: not a zip that can be read, or a member with an unsafe name, a link, a password, or a name that
            occurs twice.
    """
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise DataError(f"{path} is not a readable zip file ({error}); pack the dataset again or unpack it") from error
    with archive:
        _refuse_unsafe(path, archive)
        yield archive


def _refuse_unsafe(path: Path, archive: zipfile.ZipFile) -> None:
    seen: set[str] = set()
    for info in archive.infolist():
        if reason := _unsafe(info, seen):
            raise DataError(f"{path}: member {shown(info.filename)} {reason}; pack the dataset again without it")
        seen.add(info.filename)


def _unsafe(info: zipfile.ZipInfo, seen: set[str]) -> str | None:
    if reason := unsafe_name(info.filename):
        return reason
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a symbolic link" if kind == stat.S_IFLNK else "is a device or a pipe"
    if info.flag_bits & 0x1:
        return "is encrypted"
    return "occurs twice" if info.filename in seen else None


def unsafe_name(name: str) -> str | None:
    """Why a member of an archive must not have this name: it leads outside, or no folder or screen can take it."""
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        return "points outside the archive (absolute path, '..' or backslash)"
    if name.count("/") >= _MOST_PARTS:
        return f"has more than {_MOST_PARTS} parts"
    if name.isprintable():
        return None
    return next((reason for kind, reason in _NO_TEXT.items() if kind in map(unicodedata.category, name)), None)


def shown(name: str) -> str:
    """A member's name for messages, in quotes: of one line, and not without end."""
    text = f"'{name}'" if name.isprintable() else ascii(name)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...'"


def is_junk(name: str) -> bool:
    """What file managers and archivers leave behind: hidden files, `._*`, `.DS_Store`, `Thumbs.db`, `__MACOSX`."""
    parts = name.rstrip("/").split("/")
    return any(part[:1] == "." != part or part.lower() in ("thumbs.db", "desktop.ini", "__macosx") for part in parts)


def _parents(names: Iterable[str]) -> set[str]:
    return {name[:end] for name in names for end, character in enumerate(name) if character == "/"}


def _wrapper(folders: set[str]) -> str:
    """`"name/"` where everything lies in one outer folder that holds the splits, else empty."""
    top = {name.split("/")[0] for name in folders}
    if len(top) != 1 or top & {"train", "test"}:
        return ""
    (outer,) = top
    return f"{outer}/" if {f"{outer}/train", f"{outer}/test"} & folders else ""
