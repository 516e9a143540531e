"""A rehearsal: the whole path of a run, strategy and evaluation included, on a handful of images."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from trainables.config import RunConfig
from trainables.parts import load_implementation
from trainables.training.build import set_numerics
from trainables.training.data import RunData, load_run_data

_EVALUATION_CLASSES = 8


def rehearse(run: RunConfig, *, cache: Path) -> dict[str, float]:
    """One epoch of very few steps and one evaluation; returns the (meaningless) test or validation metrics.

    Raises:
        Exception: whatever the run itself would raise.
    """
    set_numerics(run)
    training = run.training.model_copy(update={"epochs": 1, "warmup_epochs": 0})
    brief = run.model_copy(update={"training": training})
    data = _handful(load_run_data(run, cache=cache), run)
    strategy = load_implementation(run.strategy)(brief, data, data)
    while not strategy.finished:
        strategy.epoch()
    outcome = strategy.outcome()
    metrics: dict[str, float] = outcome.test or outcome.validation
    return metrics


def _handful(data: RunData, run: RunConfig) -> RunData:
    """As many training classes as a batch has images, a few images each; a few classes to measure."""
    per_class = max(2, int(getattr(run.sampler, "images_per_class", 2)))
    split = data.split
    train = _first(split.train_labels, classes=run.training.batch_size, images=per_class)
    val = _first(split.val_labels, classes=_EVALUATION_CLASSES, images=4)
    test = _first(split.test_labels, classes=_EVALUATION_CLASSES, images=4)
    small = replace(
        split,
        train=split.train[train],
        train_labels=split.train_labels[train],
        val=split.val[val],
        val_labels=split.val_labels[val],
        test=split.test[test],
        test_labels=split.test_labels[test],
    )
    return replace(data, split=small)


def _first(labels: np.ndarray, *, classes: int, images: int) -> np.ndarray:
    """Positions of the first images of the first classes."""
    chosen = [
        np.flatnonzero(labels == label)[:images] for label in range(min(classes, int(labels.max(initial=-1)) + 1))
    ]
    return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)
