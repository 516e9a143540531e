"""The content revision: the same wherever the files lie, another one when a byte changes, and read only once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.datasets import revision
from trainables.datasets.catalog import resolve
from trainables.datasets.config import ImageFolder
from trainables.datasets.files import Files
from trainables.errors import DataError

MakeTree = Callable[..., Path]
Save = Callable[..., None]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content is read, in order."""
    names: list[str] = []
    original = revision.sha256_of

    def spy(files: Files, name: str) -> str:
        names.append(name)
        return original(files, name)

    monkeypatch.setattr(revision, "sha256_of", spy)
    return names


def _revision(path: Path, cache: Path) -> str:
    return resolve(ImageFolder(path=str(path)), search=(), cache=cache).revision


def test_is_a_hash_of_path_size_and_content() -> None:
    contents = [("a", 1, "x"), ("b", 2, "y")]
    known = revision.content_revision(contents)
    assert known == revision.content_revision(reversed(contents))
    assert len(known) == 16
    assert set(known) <= set("0123456789abcdef")
    for other in ([("a", 1, "x"), ("c", 2, "y")], [("a", 1, "x"), ("b", 3, "y")], [("a", 1, "x"), ("b", 2, "z")]):
        assert revision.content_revision(other) != known


def test_an_unchanged_dataset_is_read_once(make_tree: MakeTree, cache: Path, hashed: list[str]) -> None:
    folder = make_tree()
    first = _revision(folder, cache)
    assert len(hashed) == 8
    hashed.clear()
    assert _revision(folder, cache) == first
    assert hashed == []


def test_progress_is_reported_for_what_is_read(make_tree: MakeTree, cache: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    config = ImageFolder(path=str(make_tree()))
    for _ in range(2):
        resolve(config, search=(), cache=cache, progress=lambda *report: seen.append(report))
    assert seen[0] == (1, 8, "hashing tree")
    assert seen[7:] == [(8, 8, "hashing tree")], "nothing is read the second time"


def test_only_changed_and_new_files_are_read(
    make_tree: MakeTree, save_image: Save, cache: Path, hashed: list[str]
) -> None:
    folder = make_tree()
    first = _revision(folder, cache)
    save_image(folder / "train/a/0.png", seed=77)
    save_image(folder / "train/a/9.png", seed=78)
    hashed.clear()
    second = _revision(folder, cache)
    assert second != first
    assert hashed == ["train/a/0.png", "train/a/9.png"]
    (folder / "train/a/9.png").unlink()
    save_image(folder / "train/a/0.png", seed=0)
    assert _revision(folder, cache) == first


def test_a_new_time_alone_is_read_again_and_changes_nothing(
    make_tree: MakeTree, cache: Path, hashed: list[str]
) -> None:
    folder = make_tree()
    first = _revision(folder, cache)
    os.utime(folder / "test/c/1.png", ns=(1, 1))
    hashed.clear()
    assert _revision(folder, cache) == first
    assert hashed == ["test/c/1.png"]


def test_the_same_size_with_other_content_is_another_revision(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree()
    first = _revision(folder, cache)
    file = folder / "test/c/1.png"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert _revision(folder, cache) != first


def test_a_renamed_class_is_another_revision(make_tree: MakeTree, cache: Path) -> None:
    folder = make_tree()
    first = _revision(folder, cache)
    (folder / "train/a").rename(folder / "train/aa")
    assert _revision(folder, cache) != first


def test_the_same_content_elsewhere_is_the_same_revision(
    make_tree: MakeTree, zipped: Callable[..., Path], cache: Path
) -> None:
    folder = make_tree()
    elsewhere = shutil.copytree(folder, folder.parent / "far" / "away")
    places = [folder, elsewhere, zipped(folder), zipped(folder, inside="outer/", name="other.zip")]
    assert len({_revision(place, cache) for place in places}) == 1


def test_a_zip_is_read_again_only_when_it_changes(
    make_tree: MakeTree, zipped: Callable[..., Path], save_image: Save, cache: Path, hashed: list[str]
) -> None:
    folder = make_tree()
    path = zipped(folder)
    first = _revision(path, cache)
    hashed.clear()
    assert _revision(path, cache) == first
    assert hashed == []
    save_image(folder / "train/a/0.png", seed=77)
    zipped(folder)
    assert _revision(path, cache) != first
    assert len(hashed) == 8


def test_rows_of_a_csv_belong_to_the_revision(tmp_path: Path, save_image: Save, cache: Path) -> None:
    for name in ("x", "y"):
        save_image(tmp_path / f"{name}.png", seed=0)
    rows = tmp_path / "rows.csv"
    rows.write_text("path,label,split\nx.png,a,train\ny.png,b,test\n")
    first = _revision(rows, cache)
    rows.write_text("path,label,split\nx.png,c,train\ny.png,b,test\n")
    assert _revision(rows, cache) != first


def test_parameters_and_path_are_not_in_it(make_tree: MakeTree, cache: Path) -> None:
    path = str(make_tree())
    small, large = (resolve(ImageFolder(path=path, image_size=size), search=(), cache=cache) for size in (8, 16))
    assert small.revision == large.revision


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"train/a/0.png": 3}', b"\xff\xff"])
def test_a_damaged_memory_is_not_trusted(
    content: bytes, make_tree: MakeTree, cache: Path, hashed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_tree()
    first = _revision(folder, cache)
    (memory,) = (cache / "hashes").iterdir()
    memory.write_bytes(content)
    hashed.clear()
    assert _revision(folder, cache) == first
    assert len(hashed) == 8
    assert f"{memory} is damaged" in caplog.text


def test_a_file_that_cannot_be_opened_is_named(
    make_tree: MakeTree, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tree()
    original = Path.open

    def refuse(path: Path, *args: str) -> object:
        if path.name == "1.png":
            raise PermissionError(13, "Permission denied")
        return original(path, *args)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"'test/c/1.png' cannot be read .*Permission denied"):
        _revision(folder, cache)


def test_a_cache_that_cannot_be_written_is_named(make_tree: MakeTree, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where the cache should be")
    with pytest.raises(DataError, match=r"blocked/hashes cannot be written .*DML_STUDY_CACHE"):
        _revision(make_tree(), tmp_path / "blocked")
