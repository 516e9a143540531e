"""Which classes train, validate and test. Depends on the dataset alone, never on a run's seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.errors import DataError
from trainables.seeds import derive_seed

__all__ = ["Split", "split_classes"]

Indices = NDArray[np.int64]
_FEWEST = 2


@dataclass(frozen=True)
class Split:
    """Images per part, as indices into the dataset; labels count from 0 within each part.

    Attributes:
        train, val, test: int64 image indices; `val` is empty without validation.
        train_labels, val_labels, test_labels: int64, 0..C-1 of the part.
        train_classes, val_classes, test_classes: int64 [C], the dataset's label of each of the part's labels.
        query, gallery: int64 image indices, the two kinds of `test` where queries search other images than themselves;
            both empty where every test image searches all others.
    """

    train: Indices
    train_labels: Indices
    train_classes: Indices
    val: Indices
    val_labels: Indices
    val_classes: Indices
    test: Indices
    test_labels: Indices
    test_classes: Indices
    query: Indices = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    gallery: Indices = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def split_classes(
    labels: NDArray[np.int64],
    split: NDArray[np.str_],
    *,
    folds: int,
    fold: int | None,
    partition: Literal["random", "contiguous"] = "random",
    dataset_revision: str,
) -> Split:
    """Holds one block of training classes out for validation.

    Args:
        labels: [N], the dataset's labels.
        split: [N] of "train" or "test"; or "train", "query" and "gallery".
        folds: number of blocks, as equal as can be, into which the training classes are cut.
        fold: the block that validates; None trains on all training classes and validates on none.
        partition: "random": a permutation that depends on `dataset_revision` alone; "contiguous": label order.

    Raises:
        DataError: fewer than two classes per block, on which retrieval means nothing.
    """
    training = np.unique(labels[split == "train"])
    held_out = training[:0] if fold is None else _block(training, folds, fold, partition, dataset_revision)
    return Split(
        *_part(labels, np.setdiff1d(training, held_out)),
        *_part(labels, held_out),
        *_part(labels, np.unique(labels[split != "train"])),
        query=np.flatnonzero(split == "query").astype(np.int64),
        gallery=np.flatnonzero(split == "gallery").astype(np.int64),
    )


def _block(training: Indices, folds: int, fold: int, partition: str, dataset_revision: str) -> Indices:
    count = len(training)
    if count < _FEWEST * folds:
        raise DataError(
            f"protocol.validation_folds: {folds} folds of at least {_FEWEST} classes need {_FEWEST * folds} training "
            f"classes, the dataset has {count}; use fewer folds or selection: last"
        )
    if not 0 <= fold < folds:
        raise DataError(f"fold {fold} does not exist with {folds} validation_folds; the first is 0")
    order: Sequence[int] = range(count)
    if partition == "random":  # by hash and not by a generator, whose stream may change with a library's version
        order = sorted(order, key=lambda position: derive_seed(0, "validation", dataset_revision, position))
    return np.sort(training[np.array_split(np.asarray(order), folds)[fold]])


def _part(labels: NDArray[np.int64], classes: Indices) -> tuple[Indices, Indices, Indices]:
    images = np.flatnonzero(np.isin(labels, classes)).astype(np.int64)
    return images, np.searchsorted(classes, labels[images]).astype(np.int64), classes.astype(np.int64)
