"""`datasets verify` of the real image sets: every image of them is read."""

import csv
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
SETS = {
    "omniglot242": ("omniglot242.zip", 0),
    "cars196_half": ("cars196_trainhalf_crop_96px.zip", 11),
    "coil99": ("coil99_64px_angle.zip", 0),
    "cub200_2010": ("cub200_2010_112px.zip", 0),
}
"""By the names that shipped studies give them: the file, and the number of images that occur more than once."""
FAST = "omniglot242"


def labelled(path: Path) -> dict[str, tuple[int, int]]:
    """Images and classes of each split by the label file of the set."""
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read(f"{path.stem}/labels.csv").decode())))
    splits = {split: [row["label"] for row in rows if row["split"] == split] for split in ("train", "test")}
    return {split: (len(labels), len(set(labels))) for split, labels in splits.items()}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != FAST)) for name in SETS])
def test_a_real_set_is_whole(name: str, dml_study: Call, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, repeated = SETS[name]
    if not (shared_data / file).is_file():
        pytest.skip(f"no real images: {shared_data / file} does not exist")
    monkeypatch.setenv("DML_STUDY_DATA", str(shared_data))
    done = dml_study("datasets", "verify", name)
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert [row[0] for row in rows[1:3]] == ["train", "test"]
    for row, (images, classes) in zip(rows[1:3], labelled(shared_data / file).values(), strict=True):
        assert (row[1:3], row[-2:]) == ([str(images), str(classes)], ["0", "0"])
    assert "every image can be read" in done.out
    assert (f"{repeated} images occur more than once" in done.out) == bool(repeated)
    assert ("0 on both sides of the split" in done.out) == bool(repeated)


def test_a_sheet_of_a_real_set_by_its_name(dml_study: Call, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (shared_data / "coil99_64px_angle.zip").is_file():
        pytest.skip("no real images")
    monkeypatch.setenv("DML_STUDY_DATA", str(shared_data))
    done = dml_study("datasets", "show", "coil99", "--classes", "1", "--images", "2")
    assert (done.code, done.out) == (0, "wrote coil99.png\n"), done.err


def test_a_set_by_its_path_with_faults(dml_study: Call, shared_data: Path, tmp_path: Path) -> None:
    """Two drawings of omniglot242 are the same, one is cut."""
    if not (shared_data / "omniglot242.zip").is_file():
        pytest.skip("no real images")
    with zipfile.ZipFile(shared_data / "omniglot242.zip") as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if "character01/" in name])
    folder = tmp_path / "omniglot242"
    first, second, third, *_ = sorted(folder.glob("train/*/*.png"))
    other = sorted(folder.glob("test/*/*.png"))[0]
    shutil.copyfile(first, second)
    shutil.copyfile(first, other)
    third.write_bytes(third.read_bytes()[:60])
    done = dml_study("datasets", "verify", folder)
    assert done.code == 1
    assert "1 image occurs more than once (3 files look the same), 1 of them in several classes, 1 on both" in done.out
    assert " = ".join(str(path.relative_to(folder)) for path in sorted([first, second, other])) in done.out
    assert str(third.relative_to(folder)) in done.err
    assert "0 missing, 1 unreadable, 0 other faults" in done.err
