"""Directories and zips of images: what is read, in which order, and what is refused with which words."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_sources import loaded, refusal

from trainables.datasets.catalog import data_folders, resolve
from trainables.datasets.config import ImageFolder
from trainables.datasets.decoding import decode
from trainables.datasets.source import UnreadableImageError
from trainables.errors import DataError

MakeTree = Callable[..., Path]
Pack = Callable[..., Path]


def test_reads_a_directory_in_the_order_of_paths(make_tree: MakeTree, cache: Path) -> None:
    images = loaded(make_tree(), cache)
    assert images.class_names == ("a", "b", "c", "d")
    assert images.paths == (
        *("test/c/0.png", "test/c/1.png", "test/d/0.png"),
        *("train/a/0.png", "train/a/1.png", "train/a/2.png", "train/b/0.png", "train/b/1.png"),
    )
    assert images.labels.tolist() == [2, 2, 3, 0, 0, 0, 1, 1]
    assert images.split.tolist() == ["test"] * 3 + ["train"] * 5
    assert images.labels.dtype == np.int64
    assert (images.images.dtype, images.images.shape, images.channels) == (np.uint8, (8, 3, 8, 8), 3)


def test_images_are_memory_mapped_and_read_only(make_tree: MakeTree, cache: Path) -> None:
    images = loaded(make_tree(), cache)
    assert isinstance(images.images, np.memmap)
    assert not any(array.flags.writeable for array in (images.images, images.labels, images.split))


@pytest.mark.parametrize("inside", ["", "outer/", "./"])
def test_a_zip_gives_the_same_images_as_the_directory(
    inside: str, make_tree: MakeTree, zipped: Pack, cache: Path
) -> None:
    folder = make_tree()
    plain, packed = loaded(folder, cache / "1"), loaded(zipped(folder, inside=inside), cache / "2")
    assert np.array_equal(plain.images, packed.images)
    assert (plain.paths, plain.class_names, plain.revision) == (packed.paths, packed.class_names, packed.revision)
    assert plain.labels.tolist() == packed.labels.tolist()


def test_an_unpacked_zip_with_its_outer_folder_is_read_too(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"outer/train/a": 2, "outer/test/b": 1})
    assert loaded(folder, cache).paths == ("test/b/0.png", "train/a/0.png", "train/a/1.png")


def test_what_file_managers_leave_behind_is_skipped(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    folder = make_tree()
    clean = loaded(folder, cache)
    for junk in ("train/a/._0.png", "train/.DS_Store", "test/c/Thumbs.db", "__MACOSX/train/a/x.png", ".git/config"):
        (folder / junk).parent.mkdir(parents=True, exist_ok=True)
        (folder / junk).write_bytes(b"junk")
    for place in (folder, zipped(folder)):
        assert loaded(place, cache).paths == clean.paths
        assert loaded(place, cache).revision == clean.revision


def test_files_that_are_no_images_are_left_alone(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree()
    (folder / "labels.csv").write_text("path\n")
    (folder / "train" / "a" / "notes.txt").write_text("blurred")
    assert len(loaded(folder, cache).paths) == 8


def test_relative_paths_are_looked_up_in_order(
    make_tree: MakeTree, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_tree(name="spec/set"), make_tree({"train/z": 1, "test/y": 1}, name="data/set")
    monkeypatch.setenv("DML_STUDY_DATA", str(tmp_path / "data"))
    search = data_folders(tmp_path / "spec")
    assert search[:2] == [tmp_path / "spec", tmp_path / "data"]
    assert search[2] == Path.cwd() / "data"
    assert resolve(ImageFolder(path="set"), search=search, cache=cache).path == str(first)  # type: ignore[attr-defined]
    assert resolve(ImageFolder(path="set"), search=search[1:], cache=cache).path == str(second)  # type: ignore[attr-defined]


def test_an_unknown_path_is_named_with_the_places_and_the_nearest_name(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree(name="omniglot")
    with pytest.raises(DataError) as caught:
        resolve(ImageFolder(path="omniglott"), search=[folder.parent, folder], cache=cache)
    for words in (
        "'omniglott'",
        str(folder.parent / "omniglott"),
        str(folder / "omniglott"),
        "did you mean 'omniglot'",
    ):
        assert words in str(caught.value)


def test_a_file_that_is_no_zip(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip at all")
    assert f"{tmp_path / 'x.zip'} is not a readable zip" in refusal(tmp_path / "x.zip", cache)


def test_a_file_of_another_kind(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"")
    assert "neither a directory, nor a .zip, nor a .csv" in refusal(tmp_path / "x.tar", cache)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"train/a": 0, "test/b": 0}, "no images found"),
        ({"train/a": 2, "train/b": 1}, "no folder 'test', found 'train'"),
        ({"test/a": 2}, "no folder 'train', found 'test'"),
        ({"train/a": 1, "test/b": 1, "val/c": 1}, "unknown split folder 'val'"),
        ({"cats": 1, "dogs": 1}, "unknown split folder 'cats', 'dogs'"),
        ({"train/a": 1, "train/b": 1, "test/b": 1, "test/a": 2}, "2 classes are in both splits: 'a', 'b'"),
        ({"train/a": 1, "test/b": 1, "train": 1}, "images outside a class folder: 'train/0.png'"),
        ({"train/a/deep": 1, "test/b": 1}, "images below a class folder: 'train/a/deep/0.png'"),
        ({"train/a": 1, "train/a ": 1, "test/b": 1}, "duplicate class names"),
        ({"train/caf\u00e9": 1, "train/cafe\u0301": 1, "test/b": 1}, "duplicate class names"),
    ],
)
def test_layouts_that_are_refused(
    packed: bool, layout: dict[str, int], words: str, make_tree: MakeTree, zipped: Pack, cache: Path
) -> None:
    place = make_tree(layout)
    if packed:
        place = zipped(place)
    message = refusal(place, cache)
    assert words in message
    assert str(place) in message


def test_five_classes_of_many_are_named(make_tree: MakeTree, cache: Path) -> None:
    layout = {f"{split}/c{number}": 1 for split in ("train", "test") for number in range(8)}
    assert "8 classes are in both splits: 'c0', 'c1', 'c2', 'c3', 'c4' and 3 more" in refusal(make_tree(layout), cache)


def test_an_empty_class_folder_is_named(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    folder = make_tree({"train/a": 1, "train/hollow": 0, "test/b": 1})
    assert "no image in 'train/hollow'" in refusal(folder, cache)
    with zipfile.ZipFile(zipped(folder), "a") as archive:
        archive.mkdir("train/hollow")
    assert "no image in 'train/hollow'" in refusal(folder.with_suffix(".zip"), cache)


@pytest.mark.parametrize(
    "name", ["../evil.png", "train/../../evil.png", "/etc/evil.png", "C:/evil.png", "train\\a\\0.png"]
)
def test_unsafe_zip_members_are_refused(name: str, make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    path = zipped(make_tree())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    message = refusal(path, cache)
    assert name in message
    assert "points outside the archive" in message


def test_links_in_a_zip_are_refused(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    path = zipped(make_tree())
    link = zipfile.ZipInfo("train/a/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "'train/a/link.png' is a symbolic link" in refusal(path, cache)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_member_that_occurs_twice_is_refused(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    path = zipped(make_tree())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train/a/0.png", b"x")
    assert "'train/a/0.png' occurs twice" in refusal(path, cache)


def test_a_damaged_zip_member_is_named(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    path = zipped(make_tree())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("train/a/1.png").header_offset + 200] ^= 0xFF
    path.write_bytes(content)
    assert "'train/a/1.png' cannot be read (Bad CRC-32" in refusal(path, cache)


@pytest.mark.parametrize("file", ["train/a/1.png", "labels.csv"])
def test_a_damaged_member_packed_with_lzma_is_named(file: str, make_tree: MakeTree, cache: Path) -> None:
    folder, path = make_tree(), cache.parent / "x.zip"
    (folder / "labels.csv").write_text("path,angle\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for each in sorted(folder.rglob("*.*")):
            archive.write(each, each.relative_to(folder).as_posix())
        place = archive.getinfo(file).header_offset + 30 + len(file)
    content = bytearray(path.read_bytes())
    content[place + 4 : place + 9] = b"\xff" * 5
    path.write_bytes(content)
    config = ImageFolder(path=str(path), target_columns=("angle",) if file == "labels.csv" else ())
    with pytest.raises(DataError, match=f"'?{file}'? cannot be read"):
        resolve(config, search=(), cache=cache)
    with zipfile.ZipFile(path) as archive, pytest.raises(UnreadableImageError, match="LZMAError"):
        decode(file, lambda: archive.read(file), size=8, channels=3, resize="crop")


@pytest.mark.parametrize(
    ("mark", "offset", "value", "words"),
    [(b"PK\1\2", 6, 99, "zip file version 9.9"), (b"train/caf\xc3", 9, 0xFF, "codec can't decode")],
    ids=["version", "name"],
)
def test_a_zip_that_cannot_be_listed(
    mark: bytes, offset: int, value: int, words: str, make_tree: MakeTree, zipped: Pack, cache: Path
) -> None:
    path = zipped(make_tree({"train/caf\u00e9": 1, "test/b": 1}))
    content = bytearray(path.read_bytes())
    content[content.rindex(mark) + offset] = value
    path.write_bytes(content)
    assert words in refusal(path, cache)


def test_unreadable_images_are_counted_and_the_first_are_named(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"train/a": 9, "test/b": 3})
    for number in range(7):
        whole = (folder / "train" / "a" / f"{number}.png").read_bytes()
        (folder / "train" / "a" / f"{number}.png").write_bytes(whole[:200] if number else b"")
    with pytest.raises(DataError, match="7 of 12 images cannot be read") as caught:
        loaded(folder, cache)
    for words in ("'train/a/0.png' (UnidentifiedImageError", "'train/a/4.png' (OSError", "truncated", "and 2 more"):
        assert words in str(caught.value)
    assert "train/a/5.png" not in str(caught.value)
    assert not list((cache / "images").glob("*/*")), "a half-built cache stayed behind"


def test_a_broken_link_in_a_directory_is_named(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree()
    (folder / "train" / "a" / "gone.png").symlink_to(folder / "nowhere.png")
    assert "train/a/gone.png cannot be read" in refusal(folder, cache)
