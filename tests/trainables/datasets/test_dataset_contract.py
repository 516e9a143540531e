"""What every registered dataset promises, on a small example of each; what that finds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainables.datasets import catalog, glyphs
from trainables.datasets.catalog import data_folders
from trainables.datasets.config import DATASETS, DatasetConfig, Glyphs, ImageFolder
from trainables.datasets.source import Index, Reader
from trainables.errors import DataError
from trainables.testing.benchmark_trees import TREES
from trainables.testing.datasets import HEAVY, DatasetContract


class TestRegisteredDatasets(DatasetContract):
    @pytest.fixture(params=sorted(DATASETS))
    def config(self, request: pytest.FixtureRequest, make_tree: Callable[..., Path], tmp_path: Path) -> DatasetConfig:
        if request.param in TREES:
            small = {"path": str(TREES[request.param](tmp_path / "official")), "counts": "any", "image_size": 12}
            return DATASETS[request.param].model_validate(small)  # type: ignore[return-value]
        examples: dict[str, DatasetConfig] = {
            "glyphs": Glyphs(classes=6, images_per_class=3),
            "image_folder": ImageFolder(path=str(make_tree()), image_size=12, label="pictures"),
        }
        assert request.param in examples, "every dataset of the package has an example here"
        return examples[request.param]

    @pytest.fixture
    def heavy(self, config: DatasetConfig) -> tuple[str, ...]:
        return tuple(name for name in HEAVY if config.name != "cars196" or name != "numpy")  # MATLAB files


class TestImageFolderWithContinuousLabels(DatasetContract):
    @pytest.fixture
    def config(self, make_tree: Callable[..., Path]) -> DatasetConfig:
        tree = make_tree()
        rows = [f"{path.relative_to(tree).as_posix()},{40 * number}" for number, path in enumerate(_images(tree))]
        (tree / "labels.csv").write_text("\n".join(["path,angle", *rows]) + "\n")
        return ImageFolder(path=str(tree), image_size=12, target_columns=("angle",), target_period=360)


def _images(tree: Path) -> list[Path]:
    return sorted(tree.rglob("*.png"))


class Faulty(glyphs.Glyphs):
    """The embedded dataset with a fault, on 6 classes of 3 images."""

    @contextmanager
    def open(self) -> Iterator[tuple[Index, Reader]]:
        with super().open() as (index, read):
            yield self.index(index), lambda number: self.pixels(read(number))

    def index(self, index: Index) -> Index:
        return index

    def pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return pixels


class Random(Faulty):
    """Other pixels each time."""

    def pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.random.default_rng().integers(0, 256, pixels.shape, dtype=np.uint8)


class Overlapping(Faulty):
    """A class on both sides."""

    def index(self, index: Index) -> Index:
        return replace(index, split=("train" if index.split[0] == "test" else "test", *index.split[1:]))


class Repeating(Faulty):
    """Two images of one name."""

    def index(self, index: Index) -> Index:
        return replace(index, paths=(index.paths[1], *index.paths[1:]))


class Restless(Faulty):
    """Another revision each time."""

    count = 0

    def resolve(self, **arguments: Any) -> Glyphs:
        Restless.count += 1
        return self.config.model_copy(update={"revision": f"{Restless.count:016x}"})


class Careless(Faulty):
    """Takes whatever revision was planned."""

    def resolve(self, **arguments: Any) -> Glyphs:
        if self.config.revision:
            return self.config
        return super().resolve(**arguments)


CONTRACT = DatasetContract()
FAULTS: list[tuple[type[Faulty], Callable[..., None]]] = [
    (Random, CONTRACT.test_another_cache_gets_the_same_images),
    (Overlapping, CONTRACT.test_classes_are_either_for_training_or_for_the_test),
    (Repeating, CONTRACT.test_images_keep_their_promises),
    (Restless, CONTRACT.test_resolving_fills_in_a_revision_and_is_repeatable),
    (Careless, CONTRACT.test_another_revision_than_the_planned_one_is_refused),
]


@pytest.mark.parametrize(("fault", "check"), FAULTS, ids=[f"{fault.__name__}" for fault, _ in FAULTS])
def test_the_contract_finds(
    fault: type[Faulty], check: Callable[..., None], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "load_implementation", lambda config: fault)
    arguments = {"tmp_path": tmp_path} if "tmp_path" in check.__code__.co_varnames else {}  # type: ignore[attr-defined]
    with pytest.raises((AssertionError, DataError, pytest.fail.Exception)):
        check(Glyphs(classes=6, images_per_class=3), cache=cache, **arguments)


def test_data_folders_without_a_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DML_STUDY_DATA", raising=False)
    assert data_folders(None) == [Path.cwd() / "data"]
