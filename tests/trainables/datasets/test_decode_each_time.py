"""Images that are decoded whenever they are needed: the same runs, no array on disk, never other pixels."""

import gc
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainables.config import RunConfig
from trainables.datasets import decoding
from trainables.datasets.catalog import images_folder, load_images, resolve, verify_images
from trainables.datasets.config import ImageFolder
from trainables.datasets.images import Images
from trainables.datasets.on_demand import OnDemand
from trainables.errors import DataError
from trainables.strategies.plain import Plain
from trainables.training.data import load_run_data

MakeTree = Callable[..., Path]
CLASSES, PER_CLASS = 6, 5
LAYOUT = {f"{split}/{split}{number}": PER_CLASS for split in ("train", "test") for number in range(CLASSES)}
COUNT = 2 * CLASSES * PER_CLASS
PARTS = ("train", "val", "test")


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each image was decoded."""
    counted: Counter[str] = Counter()
    original = decoding._decoded

    def count(name: str, *arguments: Any, **named: Any) -> Any:
        counted[name] += 1
        return original(name, *arguments, **named)

    monkeypatch.setattr(decoding, "_decoded", count)
    return counted


def dataset(tree: Path, cache: Path, decode: str = "each_time", **changes: Any) -> ImageFolder:
    config = ImageFolder.model_validate({"path": str(tree), "image_size": 16, "decode": decode, **changes})
    resolved = resolve(config, search=(), cache=cache)
    assert isinstance(resolved, ImageFolder)
    return resolved


def run_on(config: ImageFolder, **changes: Any) -> RunConfig:
    backbone = {"name": "conv4", "width": 8, "trainable": changes.pop("trainable", True)}
    settings = {
        "dataset": config,
        "backbone": backbone,
        "embedding_dim": 8,
        "sampler": {"name": "balanced", "images_per_class": 2},
        "augmentation": {"crop_scale": [0.4, 1.0], "flip": True},
        "training": {"epochs": 2, "batch_size": 8},
        "protocol": {"validation_folds": 3, "deformations": [{"name": "blur", "strength": 1.0}]},
        **changes,
    }
    return RunConfig.model_validate(settings)


def trained(run: RunConfig, cache: Path) -> tuple[Any, ...]:
    """Every number of a run."""
    data = load_run_data(run, cache=cache)
    strategy = Plain(run, data, data)
    rows = []
    while not strategy.finished:
        row = strategy.epoch()
        rows.append({key: value for key, value in row.items() if "second" not in key})
    outcome = strategy.outcome()
    weights = {key: value.numpy().tobytes() for key, value in outcome.weights["model"].items()}
    return rows, outcome.validation, outcome.test, outcome.extra, weights, outcome.test_embeddings.numpy().tobytes()


@pytest.mark.parametrize("resize", ["squash", "whole"])
@pytest.mark.parametrize("trainable", [True, False], ids=["images", "cached features"])
def test_runs_are_the_same_to_the_last_bit(
    make_tree: MakeTree, cache: Path, tmp_path: Path, trainable: bool, resize: str
) -> None:
    tree, results, ids = make_tree(LAYOUT), [], set()
    for decode in ("once", "each_time"):
        place = tmp_path / decode
        run = run_on(dataset(tree, place, decode, resize=resize), trainable=trainable)
        ids.add(run.run_id())
        results.append(trained(run, place))
        assert bool(list(place.rglob("images.npy"))) == (decode == "once")
        assert bool(list(place.rglob("features.npy"))) == (not trainable)
    assert len(ids) == 1
    assert results[0] == results[1]


def test_every_epoch_decodes_what_it_shows_and_once_is_once(
    make_tree: MakeTree, cache: Path, decodes: Counter[str]
) -> None:
    tree, counts = make_tree(LAYOUT), {}
    for decode in ("once", "each_time"):
        decodes.clear()
        run = run_on(dataset(tree, cache / decode, decode), sampler="shuffled", protocol={"validation_folds": 3})
        data = load_run_data(run, cache=cache / decode)
        assert set(decodes.values()) == {1}, "when the cache is made, to find what cannot be read"
        fit = Plain(run, data, data).fit
        for _ in range(3):
            fit.train_epoch()
        fit.embed(data.split.val)
        counts[decode] = {part: [decodes[data.images.paths[i]] for i in getattr(data.split, part)] for part in PARTS}
    assert {number for part in PARTS for number in counts["once"][part]} == {1}
    assert set(counts["each_time"]["train"]) == {1 + 3}
    assert set(counts["each_time"]["val"]) == {1 + 1}
    assert set(counts["each_time"]["test"]) == {1}
    assert not list((cache / "each_time").rglob("*.npy"))


def test_frozen_features_are_computed_once_and_the_dataset_is_not_needed_after(
    make_tree: MakeTree, cache: Path, decodes: Counter[str]
) -> None:
    tree = make_tree(LAYOUT)
    run = run_on(dataset(tree, cache), trainable=False, protocol={"validation_folds": 3})
    first = trained(run, cache)
    assert set(decodes.values()) == {2}, "looked at for the cache, and decoded for the features"
    tree.rename(tree.with_name("elsewhere"))
    assert trained(run, cache) == first
    assert set(decodes.values()) == {2}


def opened(config: ImageFolder, cache: Path, workers: int | None = None) -> OnDemand:
    images = load_images(config, cache=cache, workers=workers).images
    assert isinstance(images, OnDemand)
    return images


class TestAccess:
    """Positions in any order, from any thread, announced or not."""

    @pytest.fixture
    def both(self, make_tree: MakeTree, cache: Path) -> tuple[OnDemand, np.ndarray]:
        tree = make_tree(LAYOUT)
        stored = load_images(dataset(tree, cache, "once"), cache=cache).images
        return opened(dataset(tree, cache), cache), stored[:]

    @pytest.mark.parametrize("positions", [[7], [5, 2, 5, 59, 2], [3, 4, 5], [-1, 0], []])
    def test_order_and_repetition(self, both: tuple[Images, np.ndarray], positions: list[int]) -> None:
        images, stored = both
        index = np.array(positions, dtype=np.int64)
        assert np.array_equal(images[index], stored[index])
        assert images[index].shape == (len(positions), 3, 16, 16)

    def test_slices(self, both: tuple[Images, np.ndarray]) -> None:
        images, stored = both
        assert np.array_equal(images[50:70], stored[50:70])
        assert len(images) == len(stored) == COUNT

    def test_repeated_images_are_decoded_once(self, both: tuple[Images, np.ndarray], decodes: Counter[str]) -> None:
        both[0][np.tile(np.arange(4), 3)]
        assert sorted(decodes.values()) == [1] * 4

    def test_announced_batches_are_decoded_once_and_never_more_than_one_ahead(
        self, both: tuple[OnDemand, np.ndarray], decodes: Counter[str]
    ) -> None:
        images, stored = both
        batches = np.random.default_rng(0).permutation(COUNT).reshape(6, 10)
        images.expect(batches)
        for done, batch in enumerate(batches, start=1):
            assert sum(decodes.values()) <= 10 * done
            assert np.array_equal(images[batch], stored[batch])
        assert sum(decodes.values()) == COUNT
        images[batches[0]]
        assert sum(decodes.values()) == COUNT + 10

    def test_what_was_not_announced_leaves_the_order_as_it_is(
        self, both: tuple[OnDemand, np.ndarray], decodes: Counter[str]
    ) -> None:
        images, stored = both
        batches = np.arange(40).reshape(4, 10)
        images.expect(batches)
        for batch in batches:
            assert np.array_equal(images[np.array([50])], stored[50:51])
            assert np.array_equal(images[np.tile(batch, 2)], stored[np.tile(batch, 2)])
        assert sum(decodes.values()) == 40 + 4


class TestChanges:
    """A dataset that is not any more what was planned with."""

    @pytest.fixture
    def tree(self, make_tree: MakeTree) -> Path:
        return make_tree(LAYOUT)

    def test_other_pixels_are_refused_even_at_the_same_size_and_time(self, tree: Path, cache: Path) -> None:
        path = tree / "train/train0/3.png"
        Image.new("RGB", (12, 10), (1, 2, 3)).save(path, compress_level=0)
        os.utime(path, ns=(1, 1))
        images = opened(dataset(tree, cache), cache)
        images[:]
        before = path.stat()
        Image.new("RGB", (12, 10), (1, 2, 4)).save(path, compress_level=0)
        os.utime(path, ns=(1, 1))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        with pytest.raises(
            DataError, match=r"dataset image_folder changed: 'train/train0/3.png' has other pixels"
        ) as error:
            images[:]
        assert "plan the study again" in str(error.value)

    def test_other_bytes_of_equal_pixels_are_fine(self, tree: Path, cache: Path) -> None:
        images = opened(dataset(tree, cache), cache)
        before = images[:]
        path = tree / "train/train0/3.png"
        Image.open(path).copy().save(path, compress_level=0)
        assert np.array_equal(images[:], before)

    @pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 60)], ids=["gone", "truncated"])
    def test_an_image_that_cannot_be_read_any_more_names_itself(
        self, tree: Path, cache: Path, damage: Callable[[Path], None]
    ) -> None:
        images = opened(dataset(tree, cache), cache)
        images[:]
        damage(tree / "test/test2/4.png")
        with pytest.raises(DataError, match=r"'test/test2/4.png' .* cannot be read any more"):
            images[:]

    def test_an_image_that_is_announced_fails_where_it_is_needed(self, tree: Path, cache: Path) -> None:
        images = opened(dataset(tree, cache), cache)
        (tree / "train/train0/3.png").write_bytes(b"no image")
        numbers = np.arange(COUNT).reshape(6, 10)
        images.expect(numbers)
        with pytest.raises(DataError, match=r"train0/3.png"):
            for batch in numbers:
                images[batch]

    @pytest.mark.parametrize("change", ["more images", "other classes"])
    def test_other_images_or_labels_are_refused_when_the_dataset_is_opened(
        self, tree: Path, cache: Path, save_image: Callable[..., None], change: str
    ) -> None:
        images = opened(dataset(tree, cache), cache)
        if change == "more images":
            save_image(tree / "train/train0/extra.png", seed=1)
        else:
            (tree / "train/train0").rename(tree / "train/renamed")
        with pytest.raises(DataError, match="changed: it has other images or labels now"):
            images[:3]

    def test_content_that_changed_since_the_plan_is_refused(self, tree: Path, cache: Path) -> None:
        config = dataset(tree, cache)
        (tree / "train/train0/3.png").unlink()
        with pytest.raises(DataError, match=f"planned with revision {config.revision}"):
            load_images(config, cache=cache)
        assert not images_folder(config, cache=cache).exists()

    def test_unreadable_images_are_named_before_anything_trains(self, tree: Path, cache: Path) -> None:
        for number in (1, 3):
            (tree / f"train/train0/{number}.png").write_bytes(b"no image")
        with pytest.raises(DataError, match=r"2 of 60 images cannot be read: 'train/train0/1.png'.*train0/3.png'"):
            load_images(dataset(tree, cache), cache=cache)

    def test_verification_decodes_everything(self, tree: Path, cache: Path, save_image: Callable[..., None]) -> None:
        config = dataset(tree, cache)
        load_images(config, cache=cache)
        verify_images(config, cache=cache)
        save_image(tree / "test/test5/4.png", seed=99)
        with pytest.raises(DataError, match=r"'test/test5/4.png' has other pixels"):
            verify_images(config, cache=cache)


def open_files(path: Path) -> int:
    links = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(os.path.realpath(link) == str(path.resolve()) for link in links)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the list of open files")
@pytest.mark.parametrize("workers", [1, 4])
def test_a_zip_is_read_by_several_threads_and_closed_with_its_images(
    make_tree: MakeTree, zipped: Callable[..., Path], cache: Path, workers: int
) -> None:
    tree = make_tree(LAYOUT)
    packed = zipped(tree)
    stored = load_images(dataset(tree, cache, "once"), cache=cache).images[:]
    images = opened(dataset(packed, cache), cache, workers)
    assert open_files(packed) == 0, "nothing was asked for yet"
    for _ in range(3):
        assert np.array_equal(images[:], stored)
    assert open_files(packed) == 1
    images.expect([np.arange(30)])
    del images
    gc.collect()
    assert open_files(packed) == 0


def test_a_run_decodes_with_as_many_threads_as_it_has(make_tree: MakeTree, cache: Path) -> None:
    config = dataset(make_tree(LAYOUT), cache)
    for threads in (1, 3):
        data = load_run_data(run_on(config, training={"batch_size": 8, "threads": threads}), cache=cache)
        data.inputs.take(np.arange(COUNT))
        assert isinstance(data.images.images, OnDemand)
        assert data.images.images._pool is not None
        assert data.images.images._pool._max_workers == threads
