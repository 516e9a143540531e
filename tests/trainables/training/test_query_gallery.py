"""Where queries have a gallery of their own, they search it and nothing else; validation has none."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.config import RunConfig
from trainables.datasets import catalog
from trainables.datasets.splits import split_classes
from trainables.evaluation import retrieval_report
from trainables.strategies.base import Outcome
from trainables.testing.benchmark_trees import write_inshop
from trainables.training.build import build_strategy
from trainables.training.data import RunData, load_run_data
from trainables.training.measure import class_rows, measure
from trainables.training.rehearsal import rehearse

KINDS = ["train"] * 8 + ["query", "gallery", "query", "query", "gallery"]
LABELS = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 4, 5]
DEGREES = [0, 90, 5, 1, 6]
"""Of the test images in their order: class 4 asks at 0 and 1 and waits at 90, class 5 asks at 5 and waits at 6."""


@pytest.fixture
def small_data(tiny_run: RunConfig, private_cache: Path) -> Callable[[list[str]], RunData]:
    """Data whose images are of the classes above, in splits of choice."""
    data = load_run_data(tiny_run, cache=private_cache)

    def make(kinds: list[str]) -> RunData:
        labels, split = np.array(LABELS), np.array(kinds)
        parts = split_classes(labels, split, folds=2, fold=0, partition="contiguous", dataset_revision="r")
        return replace(data, split=parts, images=replace(data.images, labels=labels, split=split))

    return make


def embeddings() -> torch.Tensor:
    angles = torch.tensor(DEGREES, dtype=torch.float64) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_queries_search_the_gallery(small_data: Callable[[list[str]], RunData]) -> None:
    """Of the gallery, class 5 at 6 degrees is nearest to everybody: right for one query of three."""
    data = small_data(KINDS)
    run = RunConfig.model_validate({"protocol": {"ks": [1, 2]}})
    found = measure(run, data, embeddings(), "test")
    assert found.metrics == pytest.approx(
        {"recall_at_1": 1 / 3, "recall_at_2": 1, "r_precision": 1 / 3, "map_at_r": 1 / 3}, abs=1e-12
    )
    rows = class_rows(found, ["e", "f"])
    assert [(row["class_name"], row["images"], row["recall_at_1"]) for row in rows] == [("e", 2, 0.0), ("f", 1, 1.0)]


def test_without_a_gallery_every_image_searches_all_others(small_data: Callable[[list[str]], RunData]) -> None:
    """By cosine 0 finds 1, 1 finds 0, 5 finds 6 and 6 finds 5; 90 finds 6, which is another class."""
    data = small_data([kind if kind == "train" else "test" for kind in KINDS])
    assert data.split.query.size == data.split.gallery.size == 0
    run = RunConfig.model_validate({"protocol": {"ks": [1]}})
    assert measure(run, data, embeddings(), "test").metrics["recall_at_1"] == pytest.approx(4 / 5, abs=1e-12)


def test_the_split_has_one_table_of_labels_and_a_validation_without_gallery(
    small_data: Callable[[list[str]], RunData],
) -> None:
    split = small_data(KINDS).split
    assert split.query.tolist() == [8, 10, 11]
    assert split.gallery.tolist() == [9, 12]
    assert split.test.tolist() == [8, 9, 10, 11, 12]
    assert split.test_labels.tolist() == [0, 0, 1, 0, 1]
    assert split.test_classes.tolist() == [4, 5]
    assert split.val_classes.tolist() == [0, 1]
    run = RunConfig.model_validate({"protocol": {"ks": [1]}})
    held_out = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    assert measure(run, small_data(KINDS), held_out, "val").metrics["recall_at_1"] == 1


@pytest.fixture
def clothes(tiny_run: RunConfig, tmp_path: Path, private_cache: Path) -> RunConfig:
    """A run on a small copy of In-shop, with a deformation of strength 0."""
    root = write_inshop(tmp_path / "shop", classes=12, images=4)
    dataset = {"name": "inshop", "path": str(root), "image_size": 16, "counts": "any"}
    protocol = {"deformations": [{"name": "rotation", "strength": 0}], "ks": [1, 10]}
    run = RunConfig.model_validate({**tiny_run.model_dump(), "dataset": dataset, "protocol": protocol})
    return run.model_copy(update={"dataset": catalog.resolve(run.dataset, search=(), cache=private_cache)})


def outcome(run: RunConfig, cache: Path, **sections: Any) -> Outcome:
    strategy = build_strategy(RunConfig.model_validate({**run.model_dump(), **sections}), cache=cache)
    while not strategy.finished:
        strategy.epoch()
    return strategy.outcome()


@pytest.mark.parametrize("strategy", ["plain", "untrained"])
def test_runs_report_the_search_of_the_gallery(clothes: RunConfig, private_cache: Path, strategy: str) -> None:
    training = {**clothes.training.model_dump(), "epochs": 1, "warmup_epochs": 0}
    found = outcome(clothes, private_cache, strategy=strategy, training=training)
    split = load_run_data(clothes, cache=private_cache).split
    assert found.test_embeddings is not None
    assert len(found.test_embeddings) == len(split.test) == 96
    asks, labels = torch.from_numpy(np.isin(split.test, split.query)), torch.from_numpy(split.test_labels)
    expected = retrieval_report(
        *(found.test_embeddings[asks], labels[asks]),
        gallery=found.test_embeddings[~asks],
        gallery_labels=labels[~asks],
        ks=[1, 10],
    )
    assert found.test == expected.metrics
    assert [row["images"] for row in found.classes] == [4] * 12
    assert found.extra["test_map_at_r_rotation_0"] == pytest.approx(found.test["map_at_r"], abs=1e-9)


def test_a_rehearsal_has_queries_and_a_gallery(clothes: RunConfig, private_cache: Path) -> None:
    assert "map_at_r" in rehearse(clothes, cache=private_cache)
