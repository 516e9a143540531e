"""Archives of strangers: what is written, and that nothing dangerous is."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from trainables.datasets import extraction
from trainables.datasets.extraction import extract, require_whole
from trainables.errors import DataError

Edit = Callable[[tarfile.TarFile], object]


def plain(tar: tarfile.TarFile, name: str, content: bytes = b"x", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


def special(tar: tarfile.TarFile, name: str, kind: bytes, **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info)


def tar_of(path: Path, edit: Edit, *, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        plain(tar, "set/first.txt", b"first")
        edit(tar)
    return path


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def target(tmp_path: Path) -> Path:
    folder = tmp_path / "inner" / "target"
    folder.mkdir(parents=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_is_written_without_junk(mode: str, tmp_path: Path) -> None:
    def edit(tar: tarfile.TarFile) -> None:
        special(tar, "./set/deep/", tarfile.DIRTYPE)
        special(tar, "./set/deep/", tarfile.DIRTYPE)  # folders may occur again
        plain(tar, "./set/deep/second.txt", b"second")
        for junk in ("set/._first.txt", "set/.DS_Store", "__MACOSX/set/x", "set/deep/Thumbs.db"):
            plain(tar, junk)

    folder = target(tmp_path)
    extract(tar_of(tmp_path / "x", edit, mode=mode), folder, largest=10**6)
    assert contents(folder) == {"set/first.txt": b"first", "set/deep/second.txt": b"second"}


def test_one_folder_of_an_archive_is_wanted(tmp_path: Path) -> None:
    folder = target(tmp_path)
    extract(
        zip_of(tmp_path / "x.zip", **{"set/a.txt": b"a", "settings/b": b"b", "c": b"c"}),
        folder,
        inside="set",
        largest=99,
    )
    assert contents(folder) == {"a.txt": b"a"}
    with pytest.raises(DataError, match="no file in a folder 'other'; this is another archive"):
        extract(tmp_path / "x.zip", folder, inside="other", largest=99)


def test_permissions_are_left_behind(tmp_path: Path) -> None:
    folder = target(tmp_path)
    extract(tar_of(tmp_path / "x.tar", lambda tar: plain(tar, "evil", mode=0o6777), mode="w"), folder, largest=99)
    assert (folder / "evil").stat().st_mode & 0o7111 == 0


BAD_TARS: dict[str, tuple[Edit, str]] = {
    "parent": (lambda tar: plain(tar, "../evil"), "'../evil' points outside"),
    "deep parent": (lambda tar: plain(tar, "set/../../evil"), "points outside"),
    "absolute": (lambda tar: plain(tar, "/tmp/evil"), "'/tmp/evil' points outside"),
    "drive": (lambda tar: plain(tar, "C:/evil"), "points outside"),
    "backslash": (lambda tar: plain(tar, "..\\evil"), "points outside"),
    "parent folder": (lambda tar: special(tar, "..", tarfile.DIRTYPE), "points outside"),
    "symlink out": (
        lambda tar: special(tar, "set/l", tarfile.SYMTYPE, linkname="/etc/passwd"),
        "link to '/etc/passwd'",
    ),
    "symlink in": (lambda tar: special(tar, "set/l", tarfile.SYMTYPE, linkname="first.txt"), "link to 'first.txt'"),
    "hardlink": (lambda tar: special(tar, "set/l", tarfile.LNKTYPE, linkname="set/first.txt"), "is a link to"),
    "hardlink out": (lambda tar: special(tar, "set/l", tarfile.LNKTYPE, linkname="../x"), "is a link to '../x'"),
    "device": (lambda tar: special(tar, "set/null", tarfile.CHRTYPE, devmajor=1, devminor=3), "is a device"),
    "pipe": (lambda tar: special(tar, "set/pipe", tarfile.FIFOTYPE), "is a device, a pipe"),
    "twice": (lambda tar: plain(tar, "./set//first.txt"), "occurs twice"),
    "file as folder": (lambda tar: plain(tar, "set/first.txt/x"), "is where another one is"),
    "folder as file": (lambda tar: [plain(tar, "set/d/x"), plain(tar, "set/d")], "is where another one is"),
    "hidden parent": (lambda tar: plain(tar, "../.evil"), "points outside"),
    "bomb": (lambda tar: plain(tar, "set/zeros", bytes(10_000)), "unpacks to more than"),
}


@pytest.mark.parametrize("name", BAD_TARS)
def test_a_malicious_tar_is_refused(name: str, tmp_path: Path) -> None:
    edit, words = BAD_TARS[name]
    archive, folder = tar_of(tmp_path / "x.tgz", edit), target(tmp_path)
    with pytest.raises(DataError) as caught:
        extract(archive, folder, largest=9_000)
    assert words in str(caught.value) and str(archive) in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*") if path.name in ("evil", ".evil", "l", "null", "pipe")] == []


def test_a_link_before_a_file_below_it_leads_nowhere(tmp_path: Path) -> None:
    def edit(tar: tarfile.TarFile) -> None:
        special(tar, "set/l", tarfile.SYMTYPE, linkname=str(tmp_path))
        plain(tar, "set/l/evil")

    with pytest.raises(DataError, match="is a link to"):
        extract(tar_of(tmp_path / "x.tgz", edit), target(tmp_path), largest=99)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "C:/evil", "set\\..\\..\\evil"])
def test_a_zip_that_points_outside_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    folder = target(tmp_path)
    with pytest.raises(DataError, match="points outside"):
        extract(zip_of(tmp_path / "x.zip", good=b"x", **{name: b"x"}), folder, largest=99)
    assert contents(folder) == {}


@pytest.mark.parametrize(("mode", "words"), [(0o120777, "is a symbolic link"), (0o020666, "a device or a pipe")])
def test_a_zip_with_something_else_than_files(mode: int, words: str, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("set/x")
    info.external_attr = mode << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=words):
        extract(tmp_path / "x.zip", target(tmp_path), largest=99)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_a_name_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    with pytest.raises(DataError, match="'a' occurs twice"):
        extract(tmp_path / "x.zip", target(tmp_path), largest=99)


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**7))
    assert (tmp_path / "x.zip").stat().st_size < 20_000
    folder = target(tmp_path)
    with pytest.raises(DataError, match=r"unpacks to more than 1.0 MiB"):
        extract(tmp_path / "x.zip", folder, largest=2**20)
    assert contents(folder) == {}


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "_MOST_MEMBERS", 3)
    with pytest.raises(DataError, match="3 members"):
        extract(zip_of(tmp_path / "x.zip", a=b"", b=b"", c=b"", d=b""), target(tmp_path), largest=99)


def test_a_full_disk_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=5))
    folder = target(tmp_path)
    for archive in (
        zip_of(tmp_path / "x.zip", a=b"123456"),
        tar_of(tmp_path / "x.tgz", lambda tar: plain(tar, "b", b"123456")),
    ):
        with pytest.raises(DataError, match="free; free some space"):
            extract(archive, folder, largest=99)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    packed = tar_of(tmp_path / "x.tgz", lambda tar: plain(tar, "noise", os.urandom(50_000)))
    packed.write_bytes(packed.read_bytes()[:30_000])
    with pytest.raises(DataError, match=r"x.tgz: .* cannot be read .*the file is damaged, get it again"):
        extract(packed, target(tmp_path), largest=10**6)
    (tmp_path / "page.tgz").write_text("<html>quota exceeded</html>")
    with pytest.raises(DataError, match=r"page.tgz: it cannot be read"):
        extract(tmp_path / "page.tgz", tmp_path, largest=10**6)
    broken = zip_of(tmp_path / "x.zip", a=b"a" * 100)
    broken.write_bytes(broken.read_bytes().replace(b"a" * 100, b"a" * 50 + b"b" * 50))
    with pytest.raises(DataError, match=r"x.zip: member 'a' cannot be read \(Bad CRC-32"):
        extract(broken, target(tmp_path / "2"), largest=10**6)


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    folder = target(tmp_path)
    (folder / "a").write_bytes(b"mine")
    with pytest.raises(DataError, match="'a' is where another one is"):
        extract(zip_of(tmp_path / "x.zip", a=b"theirs"), folder, largest=99)
    assert (folder / "a").read_bytes() == b"mine"


def rest(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def three(path: Path, mode: str) -> Path:
    """Members of 512 bytes: headers begin at 0, 1024, 2048, the end of the archive at 3072."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name in "abc":
            plain(tar, name, os.urandom(512))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_whole_tar_of_any_compression_is_read_to_its_end(mode: str, tmp_path: Path) -> None:
    archive, folder = three(tmp_path / "x", mode), target(tmp_path)
    require_whole(archive, largest=10**6)
    extract(archive, folder, largest=10**6)
    assert rest(folder) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("mode", "damage"),
    [
        ("w", lambda raw: raw[:1024]),
        ("w", lambda raw: raw[:1300]),
        ("w", lambda raw: raw[:1700]),
        ("w", lambda raw: raw[:3072]),
        ("w", lambda raw: raw[: 3072 + 512]),
        ("w", lambda raw: raw[:1100] + b"?" + raw[1101:]),
        ("w", lambda raw: raw[: 3072 + 512] + b"?" + raw[3072 + 513 :]),
        ("w:gz", lambda raw: raw[:-6] + bytes([raw[-6] ^ 1]) + raw[-5:]),
        ("w:gz", lambda raw: raw[:-4]),
        ("w:xz", lambda raw: raw[:-6]),
        ("w:xz", lambda raw: raw[:-30] + bytes([raw[-30] ^ 1]) + raw[-29:]),
        ("w:xz", lambda raw: raw[:900] + bytes([raw[900] ^ 255]) + raw[901:]),
        ("w:bz2", lambda raw: raw[:-3]),
    ],
    ids=[
        *("before a header", "in a header", "in a member", "before the end", "half of the end", "header", "end"),
        *("gzip's checksum", "gzip's length", "xz's footer", "xz's index", "xz's data", "bzip2's end"),
    ],
)
def test_a_tar_that_is_not_whole_is_refused(mode: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    archive = three(tmp_path / "x", mode)
    archive.write_bytes(damage(archive.read_bytes()))
    for refused in (partial(extract, target=target(tmp_path)), require_whole):
        with pytest.raises(DataError, match="the file is damaged, get it again") as caught:
            refused(archive, largest=10**6)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("damage", ["cut", "flipped", "bomb"])
def test_a_zip_that_is_not_whole_is_refused(damage: str, tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "x.zip", a=b"a" * 100)
    require_whole(archive, largest=100)
    if damage == "cut":
        archive.write_bytes(archive.read_bytes()[:-30])
    elif damage == "flipped":
        archive.write_bytes(archive.read_bytes().replace(b"a" * 100, b"a" * 99 + b"b"))
    words = {"cut": "it cannot be read", "flipped": "'a' has another checksum", "bomb": "unpacks to more than"}
    with pytest.raises(DataError, match=words[damage]):
        require_whole(archive, largest=99 if damage == "bomb" else 100)


NAMES = {
    "control characters": ("set/a\x1fb", "holds control characters"),
    "no text": ("set/\udcff", "is not UTF-8"),
    "deep": ("d/" * 1200 + "x", "has more than 64 parts"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    written, words = NAMES[name]
    archive = tar_of(tmp_path / "x.tgz", lambda tar: plain(tar, written))
    with pytest.raises(DataError, match=words) as caught:
        extract(archive, target(tmp_path), largest=10**6)
    assert str(caught.value).isprintable()


def test_a_pax_path_with_nul_is_refused(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "x.tgz", lambda tar: plain(tar, "x", pax_headers={"path": "a\0b"}))
    with pytest.raises(DataError, match="holds control characters"):
        extract(archive, target(tmp_path), largest=10**6)


def damaged_lzma(path: Path) -> Path:
    """The first of two members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", os.urandom(200))
        archive.writestr("b", b"b")
        place = archive.getinfo("a").header_offset
    content = bytearray(path.read_bytes())
    content[place + 31 + 4 : place + 31 + 9] = b"\xff" * 5  # the properties of the filter
    path.write_bytes(content)
    return path


def newest(path: Path) -> Path:
    """A zip that says that version 9.9 is needed."""
    content = bytearray(zip_of(path, a=b"a").read_bytes())
    content[content.index(b"PK\1\2") + 6] = 99
    path.write_bytes(content)
    return path


def garbled(path: Path) -> Path:
    """A zip whose central directory has a name that is said to be UTF-8 and is not."""
    content = zip_of(path, **{"\u00e9": b"a"}).read_bytes()
    at = content.rindex("\u00e9".encode())
    path.write_bytes(content[:at] + b"\xff\xff" + content[at + 2 :])
    return path


def half_garbled(path: Path) -> Path:
    """The same in front of the member alone."""
    content = zip_of(path, **{"\u00e9": b"a"}).read_bytes()
    path.write_bytes(content.replace("\u00e9".encode(), b"\xff\xff", 1))
    return path


@pytest.mark.parametrize("write", [damaged_lzma, newest, garbled, half_garbled])
def test_zips_that_cannot_be_read_are_no_tracebacks(write: Callable[[Path], Path], tmp_path: Path) -> None:
    archive = write(tmp_path / "x.zip")
    with pytest.raises(DataError, match=r"x\.zip"):
        extract(archive, target(tmp_path), largest=10**6)
    with pytest.raises(DataError, match=r"x\.zip"):
        require_whole(archive, largest=10**6)
