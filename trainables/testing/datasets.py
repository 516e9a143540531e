"""What every dataset must do. Inherit the class in a test module and override `config`; pytest runs the rest.

class TestMyDataset(DatasetContract):
    @pytest.fixture
    def config(self):
        return MyDataset(classes=6)
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.config import RunConfig
from trainables.datasets.catalog import images_folder, load_images, resolve, verify_images
from trainables.datasets.config import DatasetConfig
from trainables.datasets.source import Source
from trainables.errors import DataError
from trainables.parts import load_implementation

HEAVY = ("torch", "ray", "pandas", "pyarrow", "numpy", "PIL", "fontTools", "matplotlib")
"""What planning must not load."""
_PLANNER = """
import sys
from pathlib import Path
from trainables.datasets.catalog import resolve
from trainables.datasets.config import DATASETS
config = DATASETS[sys.argv[1]].model_validate_json(sys.argv[2])
print(resolve(config, search=(), cache=Path(sys.argv[3])).revision)
print([name for name in sys.argv[4:] if name in sys.modules])
"""


class DatasetContract:
    """The contract of a registered dataset: a small configuration whose data are there, named absolutely."""

    @pytest.fixture
    def config(self) -> DatasetConfig:
        """The dataset under test; to be overridden."""
        raise NotImplementedError("override the fixture `config` with the configuration of a dataset")

    @pytest.fixture
    def heavy(self) -> tuple[str, ...]:
        """What planning must not load; to be overridden where official lists cannot be read without some of it."""
        return HEAVY

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Path:
        """A cache of the test's own."""
        return tmp_path / "cache"

    def test_configuration(self, config: DatasetConfig) -> None:
        """It is registered by the default of `name`, survives being written down, and has a title for tables."""
        assert type(config).model_fields["name"].default == config.name
        assert type(config).model_validate_json(config.model_dump_json()) == config
        assert config.model_copy(update={"label": ""}).title == config.name
        assert config.model_copy(update={"label": "mine"}).title == "mine"

    def test_resolving_fills_in_a_revision_and_is_repeatable(self, config: DatasetConfig, cache: Path) -> None:
        first = resolve(config, search=(), cache=cache)
        assert len(first.revision) == 16
        assert int(first.revision, 16) >= 0
        assert resolve(first, search=(), cache=cache) == first
        assert first.model_copy(update={"revision": ""}).model_dump() == config.model_dump()
        assert resolve(config.model_copy(update={"label": "other"}), search=(), cache=cache).revision == first.revision

    def test_planning_loads_no_heavy_library_and_decodes_nothing(
        self, config: DatasetConfig, cache: Path, heavy: tuple[str, ...]
    ) -> None:
        arguments = [config.name, config.model_dump_json(), str(cache), *heavy]
        done = subprocess.run([sys.executable, "-c", _PLANNER, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        revision, loaded = done.stdout.splitlines()
        assert loaded == "[]"
        assert revision == resolve(config, search=(), cache=cache).revision
        assert not (cache / "images").exists()

    def test_images_keep_their_promises(self, config: DatasetConfig, cache: Path) -> None:
        config = resolve(config, search=(), cache=cache)
        images = load_images(config, cache=cache)
        count = len(images.paths)
        assert images.images.shape == (count, *source(config).shape())
        pixels = images.images[:]
        assert pixels.dtype == np.uint8
        assert images.labels.dtype == np.int64
        assert images.labels.shape == images.split.shape == (count,)
        assert np.array_equal(np.unique(images.labels), np.arange(len(images.class_names)))
        assert len(set(images.class_names)) == len(images.class_names)
        assert len(set(images.paths)) == count
        assert images.revision == config.revision
        assert images.channels in (1, 3)
        assert not any(array.flags.writeable for array in (pixels, images.labels, images.split))
        verify_images(config, cache=cache)

    def test_classes_are_either_for_training_or_for_the_test(self, config: DatasetConfig, cache: Path) -> None:
        images = load_images(resolve(config, search=(), cache=cache), cache=cache)
        assert set(images.split) in ({"train", "test"}, {"train", "query", "gallery"})
        for label in range(len(images.class_names)):
            assert len(set(images.split[images.labels == label] == "train")) == 1, "a class is in both splits"

    def test_continuous_labels_are_there_where_they_are_announced(self, config: DatasetConfig, cache: Path) -> None:
        targets = load_images(resolve(config, search=(), cache=cache), cache=cache).targets
        assert (targets is not None) == config.has_targets
        if targets is not None:
            assert len(targets) == len(load_images(resolve(config, search=(), cache=cache), cache=cache).paths)
            assert np.isfinite(targets.values).all()

    def test_another_cache_gets_the_same_images(self, config: DatasetConfig, cache: Path, tmp_path: Path) -> None:
        config = resolve(config, search=(), cache=cache)
        first, second = load_images(config, cache=cache), load_images(config, cache=tmp_path / "second")
        assert np.array_equal(first.images[:], second.images[:])
        assert np.array_equal(first.labels, second.labels)
        assert (first.paths, first.class_names, first.key) == (second.paths, second.class_names, second.key)

    def test_decoding_each_time_gives_the_same_run(self, config: DatasetConfig, cache: Path) -> None:
        """The same pixels and labels, without an array on disk."""
        stored = resolve(config, search=(), cache=cache)
        decoded = stored.model_copy(update={"decode": "each_time"})
        assert RunConfig(dataset=decoded).run_id() == RunConfig(dataset=stored).run_id()
        images = load_images(decoded, cache=cache)
        assert not list(cache.rglob("*.npy"))
        verify_images(decoded, cache=cache)
        expected = load_images(stored, cache=cache)
        assert images.images.shape == expected.images.shape
        assert np.array_equal(images.images[:], expected.images[:])
        assert np.array_equal(images.labels, expected.labels)
        assert (images.paths, images.key) == (expected.paths, expected.key)

    def test_size_is_part_of_the_cache_and_of_the_run(self, config: DatasetConfig, cache: Path) -> None:
        if "image_size" not in type(config).model_fields:
            pytest.skip("images of one size")
        config = resolve(config, search=(), cache=cache)
        larger = config.model_copy(update={"image_size": config.model_dump()["image_size"] + 8})
        assert images_folder(larger, cache=cache) != images_folder(config, cache=cache)
        assert RunConfig(dataset=larger).run_id() != RunConfig(dataset=config).run_id()

    def test_another_revision_than_the_planned_one_is_refused(self, config: DatasetConfig, cache: Path) -> None:
        planned = resolve(config, search=(), cache=cache).model_copy(update={"revision": "0123456789abcdef"})
        with pytest.raises(DataError, match=rf"dataset {config.title} changed: .*0123456789abcdef"):
            load_images(planned, cache=cache)

    def test_images_that_are_there_are_not_read_again(
        self, config: DatasetConfig, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = resolve(config, search=(), cache=cache)
        before = load_images(config, cache=cache)
        monkeypatch.setattr(type(source(config)), "open", _must_not_open)
        assert np.array_equal(load_images(config, cache=cache).images[:], before.images[:])


def source(config: DatasetConfig) -> Source:
    """What stands behind the configuration."""
    found: Source = load_implementation(config)(config)
    return found


def _must_not_open(self: Source) -> None:
    raise AssertionError("the cache has the images, and the dataset was opened")
