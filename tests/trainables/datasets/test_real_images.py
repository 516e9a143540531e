"""The real image sets: all images are found, in their classes and splits, and decode at any size."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from trainables.datasets.catalog import load_images, resolve
from trainables.datasets.config import ImageFolder
from trainables.datasets.image_folder import ImageFolder as Source
from trainables.datasets.splits import split_classes

SETS = {
    "omniglot242.zip": (4840, 136, 106),
    "cub200_2010_112px.zip": (6033, 100, 100),
    "cars196_trainhalf_crop_96px.zip": (8144, 98, 98),
    "coil99_64px_angle.zip": (7098, 49, 50),
}


def _file(shared_data: Path, name: str) -> Path:
    path = shared_data / name
    if not path.is_file():
        pytest.skip(f"no real images: {path} does not exist")
    return path


@pytest.mark.parametrize("name", sorted(SETS))
def test_classes_and_splits_are_those_of_the_label_file(name: str, shared_data: Path, private_cache: Path) -> None:
    """Found by layout alone; the label file inside says the same in another way."""
    path = _file(shared_data, name)
    count, training, testing = SETS[name]
    config = resolve(ImageFolder(path=name), search=[shared_data], cache=private_cache)
    assert Path(config.path) == path.resolve()  # type: ignore[attr-defined]
    with Source(config).open() as (index, _):  # type: ignore[arg-type]
        assert len(index.paths) == count
        sides = {
            split: {c for c, s in zip(index.labels, index.split, strict=True) if s == split} for split in index.split
        }
        assert (len(sides["train"]), len(sides["test"])) == (training, testing)
        with zipfile.ZipFile(path) as archive:
            rows = csv.DictReader(io.StringIO(archive.read(f"{path.stem}/labels.csv").decode()))
            listed = {row["path"].removeprefix(f"{path.stem}/"): (int(row["label"]), row["split"]) for row in rows}
        assert set(index.paths) == set(listed)
        pairs = {(label, *listed[image]) for image, label in zip(index.paths, index.labels, strict=True)}
        assert len(pairs) == len(index.class_names) == training + testing, "labels map one to one"


def test_omniglot_is_decoded_and_split(shared_data: Path, private_cache: Path) -> None:
    path = _file(shared_data, "omniglot242.zip")
    config = ImageFolder(path=str(path), image_size=28, channels=1, label="omniglot242")
    resolved = resolve(config, search=(), cache=private_cache)
    images = load_images(resolved, cache=private_cache)
    assert images.images.shape == (4840, 1, 28, 28)
    assert np.bincount(images.labels).tolist() == [20] * 242
    ink = 255 - images.images.reshape(4840, -1).mean(1)
    assert ((ink > 1) & (ink < 100)).all(), "strokes are dark on white paper"
    assert len(np.unique(images.images)) > 100, "strokes are averaged when reduced"
    parts = split_classes(
        *(images.labels, images.split), folds=4, fold=0, partition="random", dataset_revision=images.revision
    )
    assert [len(part) for part in (parts.train_classes, parts.val_classes, parts.test_classes)] == [102, 34, 106]


def test_birds_are_decoded_in_colour(shared_data: Path, private_cache: Path) -> None:
    path = _file(shared_data, "cub200_2010_112px.zip")
    config = ImageFolder(path=str(path), image_size=32, label="cub200_2010")
    images = load_images(resolve(config, search=(), cache=private_cache), cache=private_cache)
    assert images.images.shape == (6033, 3, 32, 32)
    channels = images.images[::40].astype(float).mean((0, 2, 3))
    assert np.ptp(channels) > 3, "three different channels"
    assert images.images[::40].std() > 30
