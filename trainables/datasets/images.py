"""Images with their labels: what a run trains and is evaluated on."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.targets import Targets

__all__ = ["ImageSet", "Images"]


class Images(Protocol):
    """Pixels by position: an array, or files that are decoded when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, positions: NDArray[np.int64] | slice, /) -> NDArray[np.uint8]:
        """uint8 [number of positions, C, H, W]."""
        ...


@dataclass(frozen=True)
class ImageSet:
    """All images of a dataset, both splits. Labels count over the classes of both, in the order of `class_names`.

    Attributes:
        images: uint8 [N, C, H, W], memory-mapped and read-only; or what decodes them when they are asked for.
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

    images: Images
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
