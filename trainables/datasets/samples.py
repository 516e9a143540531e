"""What the images of a dataset look like: some of each split, as they are after decoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.datasets.config import DatasetConfig
from trainables.datasets.inspection import members
from trainables.datasets.source import Framed, Reader, Source
from trainables.parts import load_implementation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SampleRow", "sample_rows"]


@dataclass(frozen=True)
class SampleRow:
    """Some images [C, H, W] of one class of one split."""

    split: str
    class_name: str
    images: tuple["NDArray[np.uint8]", ...]


def sample_rows(config: DatasetConfig, *, classes: int, images: int) -> list[SampleRow]:
    """The first images of classes at equal distances, of every split of a resolved dataset.

    Args:
        classes: of each split, at most.
        images: of each class, at most.

    Raises:
        UnreadableImageError: one of them cannot be decoded.
    """
    rows = []
    source: Source = load_implementation(config)(config)
    with source.open() as (index, read):
        for split, numbers in members(index).items():
            for label in _spread(sorted(numbers), classes):
                pixels = tuple(_pixels(read, number) for number in numbers[label][:images])
                rows.append(SampleRow(split, index.class_names[label], pixels))
    return rows


def _pixels(read: Reader, number: int) -> "NDArray[np.uint8]":
    image = read(number)
    return image.pixels if isinstance(image, Framed) else image


def _spread(values: Sequence[int], count: int) -> list[int]:
    """At most `count` of the values, at equal distances, the first among them."""
    count = min(count, len(values))
    return [values[position * len(values) // count] for position in range(count)]
