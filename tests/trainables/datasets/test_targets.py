"""Continuous labels: distances, how they are read from label files, that they are cached, and what is refused."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.datasets import catalog
from trainables.datasets.config import ImageFolder
from trainables.datasets.images import ImageSet
from trainables.datasets.targets import Targets
from trainables.errors import DataError
from trainables.parts import identity

PATHS = [f"{folder}/{n}.png" for folder, count in (("test/c", 2), ("test/d", 1), ("train/a", 3), ("train/b", 2))
         for n in range(count)]  # fmt: skip
ANGLES = [0.0, 5.0, 355.0, 10.0, 90.5, 180.0, 270.0, -5.0]


def one_group(values: Sequence[float], *, period: float | None = None) -> Targets:
    return Targets(np.array(values)[:, None], np.zeros(len(values), dtype=np.int64), period)


def write_labels(folder: Path, *, rows: dict[str, Any] | None = None, columns: str = "angle", prefix: str = "") -> Path:
    """`labels.csv` with one row per image, some of them replaced (None: left out)."""
    content = {**dict(zip(PATHS, ANGLES, strict=True)), **(rows or {})}
    path = folder / "labels.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", *columns.split()])
        for name, value in content.items():
            if value is not None:
                writer.writerow([prefix + name, *([value] * len(columns.split()))])
    return path


def load(path: Path, cache: Path, **parameters: Any) -> ImageSet:
    config = ImageFolder(path=str(path), image_size=8, **{"target_columns": ("angle",), **parameters})
    return catalog.load_images(catalog.resolve(config, search=(), cache=cache), cache=cache)


def test_distances_of_numbers_vectors_and_angles() -> None:
    assert one_group([1, 4, -2]).distances(0, np.array([1, 2])).tolist() == [3, 3]
    plane = Targets(np.array([[0.0, 0.0], [3.0, 4.0]]), np.zeros(2, dtype=np.int64))
    assert plane.distances(0, 1) == 5
    around = one_group([0, 5, 355, 180, 190, -5, 725], period=360)
    assert around.distances(0, np.arange(7)).tolist() == [0, 5, 5, 180, 170, 5, 5]
    torus = Targets(np.array([[350.0, 10.0], [10.0, 340.0]]), np.zeros(2, dtype=np.int64), 360)
    assert torus.distances(0, 1) == pytest.approx(np.hypot(20, 30))


def test_distances_broadcast_and_are_symmetric() -> None:
    targets = one_group(np.random.default_rng(0).uniform(0, 360, 12).tolist(), period=360)
    everything = targets.distances(np.arange(12)[:, None], np.arange(12))
    assert everything.shape == (12, 12)
    assert np.array_equal(everything, everything.T)
    assert (everything.diagonal() == 0).all()
    assert everything.max() <= 180
    assert np.array_equal(targets.at(np.array([3, 7])).distances(0, np.array([1])), everything[3, 7:8])


def test_labels_of_two_groups_have_no_distance() -> None:
    targets = Targets(np.zeros((3, 1)), np.array([0, 0, 1]))
    assert targets.distances(0, np.array([1])) == 0
    with pytest.raises(ValueError, match="different groups"):
        targets.distances(0, np.array([1, 2]))


def test_labels_of_two_sets_are_joined() -> None:
    joined = one_group([1, 2], period=10).joined(one_group([9], period=10))
    assert joined.distances(2, np.array([0, 1])).tolist() == [2, 3]
    with pytest.raises(ValueError, match="different periods"):
        one_group([1], period=10).joined(one_group([1]))


@pytest.mark.parametrize(
    ("values", "group", "period"),
    [(np.zeros(3), np.zeros(3), None), (np.zeros((3, 0)), np.zeros(3), None), (np.zeros((3, 1)), np.zeros(2), None),
     (np.zeros((3, 1)), np.zeros(3), 0.0)],
)  # fmt: skip
def test_targets_of_other_shapes_are_refused(values: Any, group: Any, period: float | None) -> None:
    with pytest.raises(ValueError, match=r"expected target values|period"):
        Targets(values, group.astype(np.int64), period)


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with an outer folder"])
def test_label_file_beside_the_splits(
    kind: str, make_tree: Callable[..., Path], zipped: Callable[..., Path], cache: Path
) -> None:
    folder = make_tree()
    outer = "tree/" if kind.endswith("outer folder") else ""
    write_labels(folder, prefix=outer)
    path = folder if kind == "folder" else zipped(folder, inside=outer)
    images = load(path, cache, target_period=360, target_groups="class")
    assert images.targets is not None
    assert dict(zip(images.paths, images.targets.values[:, 0], strict=True)) == dict(zip(PATHS, ANGLES, strict=True))
    assert images.targets.period == 360
    assert np.array_equal(images.targets.group, images.labels)
    assert not images.targets.values.flags.writeable


def test_columns_of_a_csv_dataset(make_tree: Callable[..., Path], cache: Path) -> None:
    folder = make_tree()
    lines = [
        f"{path},{path.split('/')[1]},{path.split('/')[0]},{number},{-number}" for number, path in enumerate(PATHS)
    ]
    (folder / "list.csv").write_text("\n".join(["path,label,split,x,y", *reversed(lines)]))
    images = load(folder / "list.csv", cache, target_columns=("y", "x"))
    assert images.targets is not None
    numbers = [PATHS.index(path) for path in images.paths]
    assert images.targets.values.tolist() == [[-n, n] for n in numbers]
    assert images.targets.group.tolist() == [0] * 8


def test_targets_come_from_the_cache_and_follow_the_label_file(make_tree: Callable[..., Path], cache: Path) -> None:
    folder = make_tree()
    write_labels(folder)
    first = load(folder, cache)
    again = load(folder, cache)
    assert again.key == first.key and again.targets is not None and first.targets is not None
    assert np.array_equal(again.targets.values, first.targets.values)
    write_labels(folder, rows={PATHS[0]: 77})
    changed = load(folder, cache)
    assert changed.revision != first.revision
    assert changed.targets is not None and changed.targets.values[0] == 77


def test_images_without_named_columns_have_no_targets(make_tree: Callable[..., Path], cache: Path) -> None:
    folder = make_tree()
    write_labels(folder, rows={PATHS[0]: "not a number"})
    assert load(folder, cache, target_columns=()).targets is None


def test_identity_of_datasets_without_targets_is_what_it_was() -> None:
    plain = identity(ImageFolder(path="a.zip"))
    assert not any(key.startswith("target") for key in plain)
    assert identity(ImageFolder(path="a.zip", target_columns=("x",))) == {**plain, "target_columns": ["x"]}


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ({}, "angel", "column 'angle' of dataset.target_columns is missing; did you mean 'angel'?"),
        ({PATHS[2]: ""}, "angle", "line 4: column 'angle' is empty"),
        ({PATHS[2]: "north"}, "angle", "line 4: column 'angle' 'north' is no finite number"),
        ({PATHS[1]: "nan"}, "angle", "line 3: column 'angle' 'nan' is no finite number"),
        ({PATHS[1]: "inf"}, "angle", "line 3: .* no finite number"),
        ({PATHS[3]: None, PATHS[4]: None}, "angle", f"2 of 8 images have no row: '{PATHS[3]}', '{PATHS[4]}'"),
        ({f"tree/{PATHS[0]}": 3}, "angle", f"line 10: 'tree/{PATHS[0]}' has a row already, line 2"),
    ],
)
def test_label_files_that_cannot_be_used_are_refused_when_planning(
    rows: dict[str, Any], columns: str, message: str, make_tree: Callable[..., Path], cache: Path
) -> None:
    folder = make_tree()
    write_labels(folder, rows=rows, columns=columns)
    with pytest.raises(DataError, match=message) as refusal:
        catalog.resolve(ImageFolder(path=str(folder), target_columns=("angle",)), search=(), cache=cache)
    assert "labels.csv" in str(refusal.value)


def test_rows_of_other_images_are_left_alone(make_tree: Callable[..., Path], cache: Path) -> None:
    folder = make_tree()
    write_labels(folder, rows={"train/z/9.png": "anything"})
    targets = load(folder, cache).targets
    assert targets is not None and len(targets) == 8


def test_missing_and_unreadable_label_files_are_refused(make_tree: Callable[..., Path], cache: Path) -> None:
    folder = make_tree()
    with pytest.raises(DataError, match=r"no labels.csv beside the splits; dataset.target_columns needs this file"):
        load(folder, cache)
    (folder / "labels.csv").write_bytes(b"path,angle\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        load(folder, cache)
    (folder / "labels.csv").write_text("")
    with pytest.raises(DataError, match="column 'path' is missing; the file has no header"):
        load(folder, cache)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"target_period": 360}, "name the columns too"),
        ({"target_groups": "class"}, "name the columns too"),
        ({"target_columns": ["x", "x"]}, "names a column twice"),
        ({"target_columns": ["x"], "target_period": 0}, "greater than 0"),
    ],
)
def test_configurations_that_cannot_be(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageFolder(path="a.zip", **parameters)


def test_real_angles_are_read_and_stay_within_objects(shared_data: Path, private_cache: Path) -> None:
    path = shared_data / "coil99_64px_angle.zip"
    if not path.is_file():
        pytest.skip(f"no real images: {path} does not exist")
    images = load(path, private_cache, target_columns=("angle_deg",), target_period=360, target_groups="class")
    targets = images.targets
    assert targets is not None and len(targets) == 7098
    assert all(f"angle{int(value):03d}" in name for name, value in zip(images.paths, targets.values[:, 0], strict=True))
    mine = np.flatnonzero(targets.group == targets.group[0])
    steps = np.unique(targets.distances(int(mine[0]), mine[1:]))
    assert steps.min() == 5
    assert steps.max() <= 180
