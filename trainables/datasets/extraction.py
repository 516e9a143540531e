"""Extraction of archives that strangers made: nothing is written outside the target, nothing but plain files."""

import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from trainables.datasets.files import DAMAGED, is_junk, opened_zip, shown, unsafe_name
from trainables.datasets.source import Progress
from trainables.datasets.storage import INTO_REMEDY, mebibytes, require_room, storage_errors
from trainables.errors import DataError

__all__ = ["PACKED", "extract", "require_whole"]

PACKED = (".zip", ".tgz", ".tar.gz", ".tar")
"""Endings of the names of archives."""

_MOST_MEMBERS = 2_000_000
_BLOCK = 2**20
_DAMAGED = (*DAMAGED, tarfile.TarError, RuntimeError, OverflowError, struct.error)


@dataclass(frozen=True)
class _Member:
    """A plain file, or a folder, which is not opened; `end` is how far in the archive's own bytes it reaches."""

    name: str
    size: int
    end: int
    open: Callable[[], IO[bytes]] | None


def extract(archive: Path, target: Path, *, inside: str = "", largest: int, progress: Progress | None = None) -> None:
    """Writes the files of a tar or zip into an existing folder, without permissions, owners and times.

    What file managers leave behind is skipped (see `is_junk`). Nothing that exists is overwritten. The caller removes
    the folder when this fails: a tar is read once, so that members before a bad one are written already.

    Args:
        archive: .zip, .tar, .tar.gz or .tgz, told apart by content.
        inside: folder of the archive whose content is wanted; everything where empty.
        largest: bytes that the members declare at most; the guard against archives that unpack without end.

    Raises:
        DataError: a member with an absolute path, `..`, a drive or a backslash, a link, a device, a sparse file, a
            name that occurs twice or a password; more bytes or members than can be; a damaged archive; a full disk.
    """
    seen, written, declared, length = set[str](), 0, 0, archive.stat().st_size
    with _opened(archive, target, largest) as members:
        for count, member in enumerate(members, start=1):
            declared += member.size
            _refuse_bomb(archive, declared, count, largest)
            name = _place(archive, member, seen)
            wanted = name.startswith(f"{inside}/") or not inside
            if member.open is not None and wanted and not is_junk(name):
                _write(archive, member, member.open, target / name.removeprefix(f"{inside}/" if inside else ""))
                written += 1
            if progress is not None:
                progress(member.end >> 20, length >> 20, f"extracting {archive.name}, MiB")
    if not written:
        place = f" in a folder '{inside}'" if inside else ""
        raise DataError(f"{archive}: no file{place}; this is another archive")


def require_whole(archive: Path, *, largest: int) -> None:
    """Reads a tar or zip to its end and writes nothing: for one of which no checksum is known.

    Args:
        largest: bytes that the members of a zip declare at most.

    Raises:
        DataError: damaged, cut, or a member that `extract` refuses.
    """
    if zipfile.is_zipfile(archive):
        with opened_zip(archive) as packed, _damage(archive, "it"):
            _refuse_bomb(archive, sum(info.file_size for info in packed.infolist()), len(packed.infolist()), largest)
            if name := packed.testzip():
                raise zipfile.BadZipFile(f"member {shown(name)} has another checksum")
        return
    with _opened_tar(archive) as (tar, raw):
        for _ in _tar_members(archive, tar, raw, archive.parent):
            pass


def _place(archive: Path, member: _Member, seen: set[str]) -> str:
    """The member's name without `./`, entered into `seen`."""
    name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
    reason = unsafe_name(member.name) or ("occurs twice" if member.open is not None and name in seen else None)
    if reason:
        raise DataError(f"{archive}: member {shown(member.name)} {reason}; nothing of it is kept")
    if member.open is not None:
        seen.add(name)
    return name


def _refuse_bomb(archive: Path, declared: int, count: int, largest: int) -> None:
    if declared > largest or count > _MOST_MEMBERS:
        raise DataError(
            f"{archive}: unpacks to more than {mebibytes(largest)} or {_MOST_MEMBERS} members, which this dataset "
            "never has; nothing of it is kept"
        )


def _write(archive: Path, member: _Member, opened: Callable[[], IO[bytes]], path: Path) -> None:
    with storage_errors(path, remedy=INTO_REMEDY):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            require_room(path.parent, member.size, remedy=INTO_REMEDY)
            target = path.open("xb")
        except (FileExistsError, NotADirectoryError) as error:
            taken = f"{archive}: member {shown(member.name)} is where another one is; nothing of it is kept"
            raise DataError(taken) from error
        with target:
            for block in _blocks(archive, member, opened):
                target.write(block)


def _blocks(archive: Path, member: _Member, opened: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    with _damage(archive, f"member {shown(member.name)}"):
        stream = opened()
    with stream:
        while True:
            with _damage(archive, f"member {shown(member.name)}"):
                block = stream.read(_BLOCK)
            if not block:
                return
            yield block


@contextmanager
def _damage(archive: Path, what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")  # tarfile lists what it tried
        raise DataError(f"{archive}: {what} cannot be read ({reason}); the file is damaged, get it again") from error


@contextmanager
def _opened(archive: Path, target: Path, largest: int) -> Iterator[Iterator[_Member]]:
    if zipfile.is_zipfile(archive):
        with opened_zip(archive) as packed:
            declared = sum(info.file_size for info in packed.infolist())
            _refuse_bomb(archive, declared, len(packed.infolist()), largest)
            require_room(target, declared, remedy=INTO_REMEDY)
            yield _zip_members(packed)
        return
    with _opened_tar(archive) as (tar, raw):
        yield _tar_members(archive, tar, raw, target)


@contextmanager
def _opened_tar(archive: Path) -> Iterator[tuple[tarfile.TarFile, IO[bytes]]]:
    with archive.open("rb") as raw:
        with _damage(archive, "it"):
            tar = tarfile.open(fileobj=raw, mode="r:*", tarinfo=_Header)  # noqa: SIM115
        with tar:
            yield tar, raw


class _Header(tarfile.TarInfo):
    """A damaged header is an error; for `tarfile` every one but the first is the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf == bytes(tarfile.BLOCKSIZE):  # the first half of the end
                raise
            raise tarfile.ReadError(f"{error}, where a member or the end was expected") from error


def _require_end(tar: tarfile.TarFile) -> None:
    """After the first block of zeros; what follows the second has the checksum of a compressed file behind it."""
    stream = tar.fileobj
    assert stream is not None, "an open file"
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("the end of the archive is missing")
    while stream.read(_BLOCK):
        pass


def _zip_members(packed: zipfile.ZipFile) -> Iterator[_Member]:
    """`opened_zip` has looked at their kinds."""
    end = 0
    for info in packed.infolist():
        end += info.compress_size
        yield _Member(info.filename, info.file_size, end, None if info.is_dir() else _zip_opener(packed, info))


def _zip_opener(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: packed.open(info)


def _tar_members(archive: Path, tar: tarfile.TarFile, raw: IO[bytes], target: Path) -> Iterator[_Member]:
    while True:
        with _damage(archive, "it"):
            info = tar.next()
            if info is None:
                _require_end(tar)
                return
        if reason := unsafe_name(info.name) or _unsafe_kind(info, target):
            raise DataError(f"{archive}: member {shown(info.name)} {reason}; nothing of it is kept")
        yield _Member(info.name, info.size, raw.tell(), None if info.isdir() else _tar_opener(tar, info))
        tar.members.clear()  # type: ignore[attr-defined]  # headers of a million members need gigabytes


def _tar_opener(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        stream = tar.extractfile(info)
        assert stream is not None, "a plain file"
        return stream

    return opened


def _unsafe_kind(info: tarfile.TarInfo, target: Path) -> str | None:
    if info.issym() or info.islnk():
        return f"is a link to {shown(info.linkname)}"
    if not (info.isreg() or info.isdir()) or info.issparse():
        return "is a device, a pipe or a sparse file"
    try:
        if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on; a second look
            tarfile.data_filter(info, str(target))
    except tarfile.FilterError as error:
        return f"is refused ({error})"
    return None
