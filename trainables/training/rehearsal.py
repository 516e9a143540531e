"""A rehearsal: the whole path of a run, strategy and evaluation included, on a handful of images."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.config import REGISTRIES, RunConfig
from trainables.datasets.splits import Split
from trainables.errors import TrainingError
from trainables.ledger.names import KEPT_KEYS
from trainables.parts import load_implementation
from trainables.strategies.base import Strategy, no_artifacts
from trainables.training import checkpoint
from trainables.training.build import set_numerics
from trainables.training.data import RunData, load_run_data
from trainables.training.fit import Fit, objective_title

_EVALUATION_CLASSES = 8


def rehearse(run: RunConfig, *, cache: Path, sources: Mapping[str, RunConfig] | None = None) -> dict[str, float]:
    """One epoch of very few steps and one evaluation; returns the (meaningless) test or validation metrics.

    Args:
        sources: runs by id that this one may need; untrained weights and random embeddings stand in for theirs.

    Raises:
        TrainingError: the loss or a trained weight is not finite, or the state does not survive a checkpoint.
        Exception: whatever else the run itself would raise.
    """
    set_numerics(run)
    shortened = brief(run)
    data = _handful(load_run_data(run, cache=cache), run)
    artifacts = partial(_stand_in, sources=sources or {}, cache=cache, images=len(data.split.test))
    build = partial(load_implementation(run.strategy), artifacts=artifacts)
    build(run, data, data)  # as it is: a memory may be too large for the real number of classes
    strategy: Strategy = build(shortened, data, data)
    while not strategy.finished:
        strategy.epoch()
        _check_state(strategy, build(shortened, data, data), run)
    outcome = strategy.outcome()
    if not all(tensor.isfinite().all() for tensor in _tensors(outcome.weights)):
        raise TrainingError(f"{objective_title(run)}: some weights are not finite after a few steps")
    return outcome.test or outcome.validation


def brief(run: RunConfig, *, steps: int | None = None) -> RunConfig:
    """One epoch in which every part acts, of some steps; of a whole pass where empty."""
    training = run.training.model_copy(update={"epochs": 1, "steps_per_epoch": steps, "warmup_epochs": 0})
    parts = {section: getattr(run, section).rehearsed() for section in REGISTRIES}
    return run.model_copy(update={**parts, "training": training})


def _check_state(strategy: Strategy, fresh: Strategy, run: RunConfig) -> None:
    """A fresh strategy that reads the state from a checkpoint has the same state."""
    state = strategy.state_dict()
    parts = f"strategy '{run.strategy.name}', loss '{run.loss.name}', synthesis '{run.synthesis.name}'"
    try:
        fresh.load_state_dict(checkpoint.from_bytes(checkpoint.to_bytes(state, []))[0])
    except Exception as error:
        raise TrainingError(f"the state cannot be saved and read back ({parts}): {error}") from error
    if place := _difference(state, fresh.state_dict()):
        raise TrainingError(f"the state changes when it is saved and read back, at '{place}' ({parts})")


def _difference(first: Any, second: Any, place: str = "state") -> str:
    """Where two states differ; empty where they are equal to the last bit."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        same = first.dtype == second.dtype and torch.equal(first.cpu(), second.cpu())
        return "" if same or bool(first.isnan().any()) else place
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        inner = (_difference(first[key], second[key], f"{place}.{key}") for key in first)
        return next(filter(None, inner), "")
    if isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        inner = (_difference(a, b, f"{place}.{index}") for index, (a, b) in enumerate(zip(first, second, strict=True)))
        return next(filter(None, inner), "")
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        return place
    undefined = isinstance(first, float) and isinstance(second, float) and math.isnan(first) and math.isnan(second)
    return "" if undefined or first == second else place


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from _tensors(value)


def _stand_in(key: str, *, sources: Mapping[str, RunConfig], cache: Path, images: int) -> bytes:
    """The kept weights of a run as they are before training, or embeddings of any content."""
    kept = {(kind, place(run_id)): run for run_id, run in sources.items() for kind, place in KEPT_KEYS.items()}
    if run := kept.get(("embeddings", key)):
        embeddings = torch.randn(images, run.embedding_dim, generator=torch.Generator().manual_seed(run.seed))
        return checkpoint.to_bytes({"embeddings": embeddings, "validation": {}}, [])
    run = kept.get(("weights", key))
    if run is None:
        return no_artifacts(key)
    weights = Fit(run, load_run_data(run, cache=cache), epochs=1).weights()
    return checkpoint.to_bytes({**weights, "config": run.model_dump_json()}, [])


def _handful(data: RunData, run: RunConfig) -> RunData:
    """Two batches of training images, a few of each class; a few classes to measure."""
    per_class = max(2, *(int(getattr(run.sampler, key, 2)) for key in ("images_per_class", "smallest_group")))
    split = data.split
    wanted = 2 * run.training.batch_size
    classes = min(-(-wanted // per_class), len(split.train_classes))
    train = _first(split.train_labels, classes=classes, images=max(per_class, -(-wanted // classes)))
    val = _first(split.val_labels, classes=_EVALUATION_CLASSES, images=4)
    test = _test_rows(split)
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


def _test_rows(split: Split) -> np.ndarray:
    """Some rows of the test part: of a few classes a few images, of queries and of the gallery where they differ."""
    if not len(split.gallery):
        return _first(split.test_labels, classes=_EVALUATION_CLASSES, images=4)
    kinds = (np.flatnonzero(np.isin(split.test, kind)) for kind in (split.query, split.gallery))
    few = [rows[_first(split.test_labels[rows], classes=_EVALUATION_CLASSES, images=2)] for rows in kinds]
    return np.sort(np.concatenate(few))


def _first(labels: np.ndarray, *, classes: int, images: int) -> np.ndarray:
    """Positions of the first images of the first classes."""
    chosen = [
        np.flatnonzero(labels == label)[:images] for label in range(min(classes, int(labels.max(initial=-1)) + 1))
    ]
    return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)
