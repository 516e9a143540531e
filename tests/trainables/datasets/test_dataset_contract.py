"""What every registered dataset promises, so that a new one is tested by adding an example of its configuration."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainables.config import RunConfig
from trainables.datasets.catalog import data_folders, images_folder, load_images, resolve
from trainables.datasets.config import DATASETS, DatasetConfig, Glyphs, ImageFolder
from trainables.errors import DataError
from trainables.parts import load_implementation

Examples = dict[str, DatasetConfig]

HEAVY = ("torch", "ray", "pandas", "pyarrow", "numpy", "PIL", "fontTools", "matplotlib")
PLANNER = f"""
import sys
from pathlib import Path
from trainables.datasets.catalog import resolve
from trainables.datasets.config import DATASETS
config = DATASETS[sys.argv[1]].model_validate_json(sys.argv[2])
print(resolve(config, search=(), cache=Path(sys.argv[3])).revision)
print([name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.fixture
def config(request: pytest.FixtureRequest, make_tree: Callable[..., Path]) -> DatasetConfig:
    """A small example of the dataset that a test is parametrised with."""
    examples: Examples = {
        "glyphs": Glyphs(classes=6, images_per_class=3),
        "image_folder": ImageFolder(path=str(make_tree()), image_size=12, label="pictures"),
    }
    assert examples.keys() == DATASETS.keys(), "every registered dataset has an example here"
    return examples[request.param]


every_dataset = pytest.mark.parametrize("config", sorted(DATASETS), indirect=True)


@every_dataset
def test_resolving_fills_in_a_revision_and_is_repeatable(config: DatasetConfig, cache: Path) -> None:
    first = resolve(config, search=(), cache=cache)
    assert len(first.revision) == 16
    assert int(first.revision, 16) >= 0
    assert resolve(first, search=(), cache=cache) == first
    assert first.model_copy(update={"revision": ""}).model_dump() == config.model_dump()
    assert resolve(config.model_copy(update={"label": "other"}), search=(), cache=cache).revision == first.revision


@every_dataset
def test_planning_loads_no_heavy_library_and_decodes_nothing(config: DatasetConfig, cache: Path) -> None:
    arguments = [config.name, config.model_dump_json(), str(cache)]
    done = subprocess.run([sys.executable, "-c", PLANNER, *arguments], capture_output=True, text=True, check=True)
    revision, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    assert revision == resolve(config, search=(), cache=cache).revision
    assert not (cache / "images").exists()


@every_dataset
def test_images_keep_their_promises(config: DatasetConfig, cache: Path) -> None:
    config = resolve(config, search=(), cache=cache)
    images = load_images(config, cache=cache)
    count = len(images.paths)
    shape = load_implementation(config)(config).shape()
    assert images.images.shape == (count, *shape)
    assert images.images.dtype == np.uint8
    assert images.labels.dtype == np.int64
    assert images.labels.shape == images.split.shape == (count,)
    assert np.array_equal(np.unique(images.labels), np.arange(len(images.class_names)))
    assert len(set(images.class_names)) == len(images.class_names)
    assert len(set(images.paths)) == count
    assert set(images.split) == {"train", "test"}
    for label in range(len(images.class_names)):
        assert len(set(images.split[images.labels == label])) == 1, "a class is in both splits"
    assert images.revision == config.revision
    assert images.channels in (1, 3)
    assert not any(array.flags.writeable for array in (images.images, images.labels, images.split))


@every_dataset
def test_another_cache_gets_the_same_images(config: DatasetConfig, cache: Path, tmp_path: Path) -> None:
    config = resolve(config, search=(), cache=cache)
    first, second = load_images(config, cache=cache), load_images(config, cache=tmp_path / "second")
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.labels, second.labels)
    assert (first.paths, first.class_names, first.key) == (second.paths, second.class_names, second.key)


@every_dataset
def test_size_is_part_of_the_cache_and_of_the_run(config: DatasetConfig, cache: Path) -> None:
    config = resolve(config, search=(), cache=cache)
    larger = config.model_copy(update={"image_size": 20})
    assert images_folder(larger, cache=cache) != images_folder(config, cache=cache)
    assert RunConfig(dataset=larger).run_id() != RunConfig(dataset=config).run_id()


@every_dataset
def test_another_revision_than_the_planned_one_is_refused(config: DatasetConfig, cache: Path) -> None:
    planned = resolve(config, search=(), cache=cache).model_copy(update={"revision": "0123456789abcdef"})
    with pytest.raises(DataError, match=rf"dataset {config.title} changed: .*0123456789abcdef"):
        load_images(planned, cache=cache)


def test_data_folders_without_a_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DML_STUDY_DATA", raising=False)
    assert data_folders(None) == [Path.cwd() / "data"]
