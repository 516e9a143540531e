"""Harder training sets: labels that are wrong on purpose, and fewer classes. Validation and test stay as they are."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.splits import Split
from trainables.randomness import numpy_generator
from trainables.seeds import derive_seed
from trainables.training.config import TrainingSet

__all__ = ["NoiseKind", "class_subset", "noisy_labels", "training_set_figures", "with_training_set"]

Indices = NDArray[np.int64]
NoiseKind = Literal["symmetric", "pair_flip"]
_FEWEST_CLASSES = 2


def noisy_labels(labels: Indices, *, rate: float, kind: NoiseKind, seed: int, images: Indices | None = None) -> Indices:
    """Labels of which exactly `round(rate * N)` are replaced by another class.

    Which images are hit, and by what, are functions of the seed and the image: a higher rate hits the same images and
    more, and an image that two folds share is treated alike in both (but for the last ones of the exact number).

    Args:
        labels: [N], integers in 0..C-1; C is the largest label and 1.
        rate: share of labels to replace.
        kind: "symmetric" draws uniformly among the C - 1 other classes (van Rooyen et al., NeurIPS 2015); "pair_flip"
            makes class c class (c + 1) mod C (Han et al., "Co-teaching", NeurIPS 2018).
        seed: the run's.
        images: [N], numbers that tell the images apart; by default their positions.

    Raises:
        ValueError: a rate outside 0..1, or one class alone, which no label can be exchanged for.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is a share of the labels, from 0 to 1, not {rate}")
    images = np.arange(len(labels)) if images is None else images
    hit = np.argsort(_uniform(images, seed, "choice"), kind="stable")[: round(rate * len(labels))]
    if not len(hit):
        return labels.copy()
    classes = int(labels.max()) + 1
    if classes < _FEWEST_CLASSES:
        raise ValueError("label noise needs at least two classes")
    shift = np.ones(len(labels), dtype=np.int64)
    if kind == "symmetric":
        shift += (_uniform(images, seed, "replacement") * (classes - 1)).astype(np.int64)
    noisy = labels.copy()
    noisy[hit] = (labels[hit] + shift[hit]) % classes
    return noisy


def _uniform(images: Indices, seed: int, purpose: str) -> NDArray[np.float64]:
    """One number in [0, 1) per image; the stream's n-th number belongs to image n."""
    stream = numpy_generator(seed, "label_noise", purpose).random(int(images.max(initial=-1)) + 1)
    return stream[images]


def class_subset(classes: Indices, fraction: float, seed: int) -> Indices:
    """`round(fraction * C)` of the classes, at least two (or all, of fewer), in ascending order.

    A function of the seed and the classes' numbers; of one seed, smaller fractions lie within larger ones.

    Args:
        classes: [C], different integers.
        fraction: above 0, at most 1.
        seed: the run's.

    Raises:
        ValueError: the fraction is out of bounds.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is a share of the classes, above 0 and at most 1, not {fraction}")
    count = max(_FEWEST_CLASSES, round(fraction * len(classes)))
    order = sorted(classes.tolist(), key=lambda label: derive_seed(seed, "class_subset", label))
    return np.sort(np.asarray(order[:count], dtype=np.int64))


def with_training_set(split: Split, config: TrainingSet, *, seed: int) -> Split:
    """The split with fewer training classes, counted anew from 0, and wrong training labels, as configured."""
    if config.class_fraction < 1:
        split = _with_classes(split, class_subset(split.train_classes, config.class_fraction, seed))
    if config.label_noise > 0:
        rate, kind = config.label_noise, config.label_noise_kind
        noisy = noisy_labels(split.train_labels, rate=rate, kind=kind, seed=seed, images=split.train)
        split = replace(split, train_labels=noisy)
    return split


def _with_classes(split: Split, kept: Indices) -> Split:
    of_image = split.train_classes[split.train_labels]
    chosen = np.isin(of_image, kept)
    labels = np.searchsorted(kept, of_image[chosen]).astype(np.int64)
    return replace(split, train=split.train[chosen], train_labels=labels, train_classes=kept)


def training_set_figures(split: Split, labels: Indices, config: TrainingSet) -> dict[str, float]:
    """What became of the training set, for the run's row; empty where nothing did.

    Args:
        split: with the configuration applied.
        labels: the dataset's own, of all images.
        config: what was applied.
    """
    if config == TrainingSet():
        return {}
    flipped = split.train_classes[split.train_labels] != labels[split.train]
    return {
        "training_labels_flipped": float(flipped.sum()),
        "training_images": float(len(split.train)),
        "training_classes": float(len(split.train_classes)),
    }
