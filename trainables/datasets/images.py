"""Decoded images with their labels: what a run trains and is evaluated on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.targets import Targets

__all__ = ["ImageSet"]


@dataclass(frozen=True)
class ImageSet:
    """All images of a dataset, both splits. Labels count over the classes of both, in the order of `class_names`.

    Attributes:
        images: uint8 [N, C, H, W], memory-mapped and read-only.
        labels: int64 [N] in 0..len(class_names) - 1.
        split: [N] of "train" or "test"; a class lies in one of them only. Where test queries search other images than
            themselves, "query" and "gallery" stand in place of "test".
        class_names: one name per label.
        paths: one name per image, relative to the dataset.
        revision: hash of the content that the images were read from.
        key: hash of everything that the pixels depend on (revision, parameters, decoder); names caches made from them.
        targets: continuous labels, where the dataset has them.
        shapes: int64 [N, 2], height and width of each image before it was squashed to its array; None where crops are
            counted in pixels of the array.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    split: NDArray[np.str_]
    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    revision: str
    key: str = ""
    targets: Targets | None = None
    shapes: NDArray[np.int64] | None = None

    @property
    def channels(self) -> int:
        """C: 1 for grey images, 3 for colour."""
        return int(self.images.shape[1])
