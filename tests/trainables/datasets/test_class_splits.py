"""Validation folds: disjoint classes, the same for every run, told apart by the dataset alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainables.datasets.splits import Split, split_classes
from trainables.errors import DataError

TRAINING = np.array([0, 2, 3, 5, 6, 8, 9, 11, 12, 14])
TEST = np.array([1, 4, 7, 10, 13])


def _dataset() -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Fifteen classes, class c with c + 1 images, in mixed order; every third one, from 1 on, tests."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(15), np.arange(15) + 1))
    return labels, np.where(labels % 3 == 1, "test", "train")


def _split(fold: int | None, *, folds: int = 4, partition: str = "random", revision: str = "abc") -> Split:
    labels, split = _dataset()
    return split_classes(
        *(labels, split),
        folds=folds,
        fold=fold,
        partition=partition,
        dataset_revision=revision,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("partition", ["random", "contiguous"])
def test_every_training_class_validates_in_one_fold(partition: str) -> None:
    held_out = [_split(fold, partition=partition).val_classes for fold in range(4)]
    assert sorted(np.concatenate(held_out).tolist()) == TRAINING.tolist()
    assert sorted(len(block) for block in held_out) == [2, 2, 3, 3]


@pytest.mark.parametrize("fold", [None, 0, 1, 2, 3])
def test_images_and_labels_belong_together(fold: int | None) -> None:
    labels, split = _dataset()
    parts = _split(fold)
    for name in ("train", "val", "test"):
        images, local, classes = (getattr(parts, name + suffix) for suffix in ("", "_labels", "_classes"))
        assert np.array_equal(classes[local], labels[images])
        assert np.array_equal(images, np.flatnonzero(np.isin(labels, classes))), "an image is missing or out of order"
        assert np.array_equal(np.unique(local), np.arange(len(classes)))
        assert {array.dtype for array in (images, local, classes)} == {np.dtype(np.int64)}
    assert set(split[parts.train]) | set(split[parts.val]) == {"train"}
    assert parts.test_classes.tolist() == TEST.tolist()
    together = np.concatenate([parts.train, parts.val, parts.test])
    assert np.array_equal(np.sort(together), np.arange(len(labels)))


def test_without_validation_all_training_classes_train() -> None:
    parts = _split(None, folds=100)
    assert parts.train_classes.tolist() == TRAINING.tolist()
    assert len(parts.val) == len(parts.val_labels) == len(parts.val_classes) == 0


def test_contiguous_blocks_follow_label_order() -> None:
    blocks = [_split(fold, partition="contiguous").val_classes.tolist() for fold in range(4)]
    assert blocks == [[0, 2, 3], [5, 6, 8], [9, 11], [12, 14]]


def test_the_random_partition_depends_on_the_revision_alone() -> None:
    def blocks(revision: str) -> list[list[int]]:
        return [_split(fold, revision=revision).val_classes.tolist() for fold in range(4)]

    known = blocks("abc")
    np.random.seed(1)
    assert blocks("abc") == known
    assert blocks("abd") != known
    assert known != [_split(fold, partition="contiguous").val_classes.tolist() for fold in range(4)]


def test_the_random_partition_never_changes() -> None:
    """Runs of older versions are compared with new ones: their folds must be the same."""
    assert [_split(fold).val_classes.tolist() for fold in range(4)] == [[5, 6, 12], [0, 11, 14], [8, 9], [2, 3]]


def test_too_few_classes_for_the_folds() -> None:
    with pytest.raises(DataError, match=r"validation_folds: 6 folds of at least 2 classes need 12 .* has 10"):
        _split(0, folds=6)
    assert len(_split(0, folds=5).val_classes) == 2


@pytest.mark.parametrize("fold", [-1, 4])
def test_a_fold_that_does_not_exist(fold: int) -> None:
    with pytest.raises(DataError, match=f"fold {fold} does not exist with 4"):
        _split(fold)
