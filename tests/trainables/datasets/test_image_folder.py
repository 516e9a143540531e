"""Directories, zips and CSV files of images: what is read, in which order, and what is refused with which words."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainables.datasets.catalog import data_folders, load_images, resolve
from trainables.datasets.config import ImageFolder
from trainables.datasets.decoding import decode
from trainables.datasets.images import ImageSet
from trainables.datasets.source import UnreadableImageError
from trainables.errors import DataError

MakeTree = Callable[..., Path]
Pack = Callable[..., Path]


def _load(path: Path, cache: Path) -> ImageSet:
    return load_images(ImageFolder(path=str(path), image_size=8), cache=cache)


def _refusal(path: Path, cache: Path) -> str:
    with pytest.raises(DataError) as caught:
        resolve(ImageFolder(path=str(path)), search=(), cache=cache)
    return str(caught.value)


def _refused_csv(text: str, folder: Path, cache: Path) -> str:
    (folder / "rows.csv").write_text(text)
    return _refusal(folder / "rows.csv", cache)


def test_reads_a_directory_in_the_order_of_paths(make_tree: MakeTree, cache: Path) -> None:
    images = _load(make_tree(), cache)
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
    images = _load(make_tree(), cache)
    assert isinstance(images.images, np.memmap)
    assert not any(array.flags.writeable for array in (images.images, images.labels, images.split))


@pytest.mark.parametrize("inside", ["", "outer/", "./"])
def test_a_zip_gives_the_same_images_as_the_directory(
    inside: str, make_tree: MakeTree, zipped: Pack, cache: Path
) -> None:
    folder = make_tree()
    plain, packed = _load(folder, cache / "1"), _load(zipped(folder, inside=inside), cache / "2")
    assert np.array_equal(plain.images, packed.images)
    assert (plain.paths, plain.class_names, plain.revision) == (packed.paths, packed.class_names, packed.revision)
    assert plain.labels.tolist() == packed.labels.tolist()


def test_an_unpacked_zip_with_its_outer_folder_is_read_too(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"outer/train/a": 2, "outer/test/b": 1})
    assert _load(folder, cache).paths == ("test/b/0.png", "train/a/0.png", "train/a/1.png")


def test_what_file_managers_leave_behind_is_skipped(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    folder = make_tree()
    clean = _load(folder, cache)
    for junk in ("train/a/._0.png", "train/.DS_Store", "test/c/Thumbs.db", "__MACOSX/train/a/x.png", ".git/config"):
        (folder / junk).parent.mkdir(parents=True, exist_ok=True)
        (folder / junk).write_bytes(b"junk")
    for place in (folder, zipped(folder)):
        assert _load(place, cache).paths == clean.paths
        assert _load(place, cache).revision == clean.revision


def test_files_that_are_no_images_are_left_alone(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree()
    (folder / "labels.csv").write_text("path\n")
    (folder / "train" / "a" / "notes.txt").write_text("blurred")
    assert len(_load(folder, cache).paths) == 8


def test_a_csv_names_images_relative_to_itself(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"pictures/x": 2, "pictures/y": 2})
    rows = "split,label,path,extra\ntest,bird,pictures/y/1.png,1\ntrain,fish,./pictures/x/0.png,2\n"
    (folder / "rows.csv").write_text("\ufeff" + rows + "train,fish,pictures/x/1.png,3\n")
    images = _load(folder / "rows.csv", cache)
    assert images.paths == ("pictures/x/0.png", "pictures/x/1.png", "pictures/y/1.png")
    assert images.class_names == ("bird", "fish")
    assert images.labels.tolist() == [1, 1, 0]
    assert images.split.tolist() == ["train", "train", "test"]


def test_a_csv_may_have_other_columns_and_a_gallery(make_tree: MakeTree, cache: Path) -> None:
    """As In-shop has queries and iNaturalist has names; backslashes are those of Windows."""
    folder = make_tree({"pictures/x": 2, "pictures/y": 3})
    rows = ["file_name,category_id,set", "pictures\\x\\0.png,7,train", "pictures/x/1.png,7,train"]
    rows += [f"pictures/y/{number}.png,8,{split}" for number, split in enumerate(("query", "gallery", "gallery"))]
    (folder / "rows.csv").write_text("\n".join(rows))
    names = {"path_column": "file_name", "label_column": "category_id", "split_column": "set"}
    config = ImageFolder.model_validate({"path": str(folder / "rows.csv"), "image_size": 8, **names})
    images = load_images(config, cache=cache)
    assert images.paths[0] == "pictures/x/0.png"
    assert images.class_names == ("7", "8")
    assert images.split.tolist() == ["train"] * 2 + ["query", "gallery", "gallery"]
    plain = {name: ImageFolder.model_fields[name].default for name in names}
    assert plain == {"path_column": "path", "label_column": "label", "split_column": "split"}


def test_continuous_labels_of_a_csv_with_another_path_column(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"x": 1, "y": 1})
    (folder / "rows.csv").write_text("image,label,split,angle\nx\\0.png,a,train,30\ny/0.png,b,test,60\n")
    config = ImageFolder(
        path=str(folder / "rows.csv"), image_size=8, path_column="image", target_columns=("angle",), target_period=360
    )
    targets = load_images(config, cache=cache).targets
    assert targets is not None and targets.values[:, 0].tolist() == [30, 60]


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
    assert f"{tmp_path / 'x.zip'} is not a readable zip" in _refusal(tmp_path / "x.zip", cache)


def test_a_file_of_another_kind(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"")
    assert "neither a directory, nor a .zip, nor a .csv" in _refusal(tmp_path / "x.tar", cache)


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
    message = _refusal(place, cache)
    assert words in message
    assert str(place) in message


def test_five_classes_of_many_are_named(make_tree: MakeTree, cache: Path) -> None:
    layout = {f"{split}/c{number}": 1 for split in ("train", "test") for number in range(8)}
    assert "8 classes are in both splits: 'c0', 'c1', 'c2', 'c3', 'c4' and 3 more" in _refusal(make_tree(layout), cache)


def test_an_empty_class_folder_is_named(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    folder = make_tree({"train/a": 1, "train/hollow": 0, "test/b": 1})
    assert "no image in 'train/hollow'" in _refusal(folder, cache)
    with zipfile.ZipFile(zipped(folder), "a") as archive:
        archive.mkdir("train/hollow")
    assert "no image in 'train/hollow'" in _refusal(folder.with_suffix(".zip"), cache)


@pytest.mark.parametrize(
    "name", ["../evil.png", "train/../../evil.png", "/etc/evil.png", "C:/evil.png", "train\\a\\0.png"]
)
def test_unsafe_zip_members_are_refused(name: str, make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    path = zipped(make_tree())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    message = _refusal(path, cache)
    assert name in message
    assert "points outside the archive" in message


def test_links_in_a_zip_are_refused(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    path = zipped(make_tree())
    link = zipfile.ZipInfo("train/a/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "'train/a/link.png' is a symbolic link" in _refusal(path, cache)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_member_that_occurs_twice_is_refused(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    path = zipped(make_tree())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train/a/0.png", b"x")
    assert "'train/a/0.png' occurs twice" in _refusal(path, cache)


def test_a_damaged_zip_member_is_named(make_tree: MakeTree, zipped: Pack, cache: Path) -> None:
    path = zipped(make_tree())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("train/a/1.png").header_offset + 200] ^= 0xFF
    path.write_bytes(content)
    assert "'train/a/1.png' cannot be read (Bad CRC-32" in _refusal(path, cache)


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
    assert words in _refusal(path, cache)


def test_a_csv_may_name_files_that_hold_a_backslash(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"x": 1, "y": 1})
    try:
        (folder / "x/0.png").rename(folder / "odd\\name.png")
    except OSError:
        pytest.skip("a system on which backslashes are separators")
    (folder / "rows.csv").write_text("path,label,split,angle\nodd\\name.png,a,train,1\ny\\0.png,b,test,2\n")
    config = ImageFolder(path=str(folder / "rows.csv"), image_size=8, target_columns=("angle",))
    images = load_images(config, cache=cache)
    assert images.paths == ("odd\\name.png", "y/0.png")
    assert images.targets is not None and images.targets.values[:, 0].tolist() == [1, 2]


def test_unreadable_images_are_counted_and_the_first_are_named(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"train/a": 9, "test/b": 3})
    for number in range(7):
        whole = (folder / "train" / "a" / f"{number}.png").read_bytes()
        (folder / "train" / "a" / f"{number}.png").write_bytes(whole[:200] if number else b"")
    with pytest.raises(DataError, match="7 of 12 images cannot be read") as caught:
        _load(folder, cache)
    for words in ("'train/a/0.png' (UnidentifiedImageError", "'train/a/4.png' (OSError", "truncated", "and 2 more"):
        assert words in str(caught.value)
    assert "train/a/5.png" not in str(caught.value)
    assert not list((cache / "images").glob("*/*")), "a half-built cache stayed behind"


def test_a_broken_link_in_a_directory_is_named(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree()
    (folder / "train" / "a" / "gone.png").symlink_to(folder / "nowhere.png")
    assert "train/a/gone.png cannot be read" in _refusal(folder, cache)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "column 'path', 'label', 'split' is missing, found none"),
        ("path,class,split\nx,a,train\n", "column 'label' is missing, found 'path', 'class', 'split'"),
        ("path,label,split\n", "no rows"),
        ("path,label,split\nx.png,a,train\ny.png,,test\n", "line 3: column 'label' is empty"),
        ("path,label,split\nx.png,a\n", "line 2: column 'split' is empty"),
        ("path,label,split\nx.png,a,dev\n", "line 2: unknown split 'dev'"),
        ("path,label,split\n/tmp/x.png,a,train\n", "line 2: path '/tmp/x.png' is absolute"),
        ("path,label,split\nx.png,a,train\nx.png,b,test\n", "names an image more than once: 'x.png'"),
        ("path,label,split\nx.png,a,train\nz.png,b,test\n", "1 of 2 files do not exist, 'z.png'"),
        ("path,label,split\nx.png,a,train\n", "no image of the split 'test'"),
        ("path,label,split\nx.png,a,train\ny.png,a,test\n", "1 classes are in both splits: 'a'"),
        ("path,label,split\nx.png,a,train\ny.png, a,test\n", "duplicate class names"),
        (
            "path,lable,split\nx.png,a,train\n",
            "'label' is missing, found 'path', 'lable', 'split'; did you mean 'lable'?",
        ),
        ("path,label,split,label\nx.png,a,train,b\n", "column 'label' is there, or named, more than once"),
        ("path,label,split\nC:\\x.png,a,train\n", "line 2: path 'C:/x.png' is absolute"),
        ("path,label,split\nx.png,a,train\ny.png,b,query\n", "no image of the split 'gallery'"),
        ("path,label,split\nx.png,a,train\ny.png,a,query\nz.png,b,gallery\n", "1 classes are in both splits: 'a'"),
        (
            "path,label,split\nx.png,a,train\ny.png,b,query\nz.png,b,gallery\nu.png,b,test\n",
            "images of the split 'test' beside queries and a gallery",
        ),
    ],
)
def test_csv_files_that_are_refused(
    text: str, words: str, tmp_path: Path, cache: Path, save_image: Callable[..., None]
) -> None:
    for name in ("x.png", "y.png") + (("z.png", "u.png") if "gallery" in text else ()):
        save_image(tmp_path / name, seed=0)
    message = _refused_csv(text, tmp_path, cache)
    assert words in message
    assert str(tmp_path / "rows.csv") in message


def test_a_csv_that_is_not_text_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"path,label,split\n\xff\xfe\n")
    assert "is not UTF-8 text" in _refusal(tmp_path / "rows.csv", cache)


def test_a_query_without_a_gallery_image_of_its_class_is_refused(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree({"x": 6})
    rows = [(0, "a", "train"), (1, "b", "query"), (2, "b", "gallery"), (3, "c", "query"), (4, "d", "gallery")]
    text = "path,label,split\n" + "".join(f"x/{number}.png,{label},{split}\n" for number, label, split in rows)
    message = _refused_csv(text, folder, cache)
    assert "no image in the gallery for queries of class 'c'; add some" in message
    assert "'b'" not in message and "'d'" not in message
