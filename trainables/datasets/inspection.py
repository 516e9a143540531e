"""A look at a dataset without training on it: how much there is, what cannot be read, what it looks like."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.datasets.config import DatasetConfig
from trainables.datasets.source import Framed, Index, Progress, Reader, Source, UnreadableImageError
from trainables.parts import load_implementation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Inspection", "SampleRow", "SplitCounts", "inspect_dataset", "sample_rows"]

_REPORT_EVERY = 32


@dataclass(frozen=True)
class SplitCounts:
    """Images and classes of a split, and the images of its smallest and its largest class."""

    images: int
    classes: int
    smallest: int
    largest: int


@dataclass(frozen=True)
class Inspection:
    """What a dataset holds.

    Attributes:
        splits: by name, in the order in which they occur.
        unreadable: a message per image that cannot be decoded.
    """

    splits: dict[str, SplitCounts]
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class SampleRow:
    """Some images [C, H, W] of one class of one split."""

    split: str
    class_name: str
    images: tuple["NDArray[np.uint8]", ...]


def inspect_dataset(config: DatasetConfig, *, progress: Progress | None = None) -> Inspection:
    """Counts a resolved dataset and decodes every image of it once; nothing is kept.

    Raises:
        DataError: the dataset is not usable as it is.
    """
    with _source(config).open() as (index, read), ThreadPoolExecutor(os.cpu_count()) as pool:
        numbers = range(len(index.paths))
        failures = []
        for done, failure in enumerate(pool.map(lambda number: _failure(read, number), numbers), start=1):
            failures += [] if failure is None else [failure]
            if progress is not None and (done % _REPORT_EVERY == 0 or done == len(numbers)):
                progress(done, len(numbers), f"reading {config.title}")
        return Inspection(_counts(index), tuple(failures))


def sample_rows(config: DatasetConfig, *, classes: int, images: int) -> list[SampleRow]:
    """The first images of classes at equal distances, of every split of a resolved dataset.

    Args:
        classes: of each split, at most.
        images: of each class, at most.

    Raises:
        UnreadableImageError: one of them cannot be decoded.
    """
    rows = []
    with _source(config).open() as (index, read):
        for split, members in _members(index).items():
            for label in _spread(sorted(members), classes):
                pixels = tuple(_pixels(read, number) for number in members[label][:images])
                rows.append(SampleRow(split, index.class_names[label], pixels))
    return rows


def _source(config: DatasetConfig) -> Source:
    source: Source = load_implementation(config)(config)
    return source


def _failure(read: Reader, number: int) -> str | None:
    try:
        read(number)
    except UnreadableImageError as error:
        return str(error)
    return None


def _pixels(read: Reader, number: int) -> "NDArray[np.uint8]":
    image = read(number)
    return image.pixels if isinstance(image, Framed) else image


def _members(index: Index) -> dict[str, dict[int, list[int]]]:
    """Image numbers by split and label."""
    found: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, (split, label) in enumerate(zip(index.split, index.labels, strict=True)):
        found[split][label].append(number)
    return found


def _counts(index: Index) -> dict[str, SplitCounts]:
    images = Counter(index.split)
    sizes = {split: [len(numbers) for numbers in members.values()] for split, members in _members(index).items()}
    return {split: SplitCounts(images[split], len(each), min(each), max(each)) for split, each in sizes.items()}


def _spread(values: Sequence[int], count: int) -> list[int]:
    """At most `count` of the values, at equal distances, the first among them."""
    count = min(count, len(values))
    return [values[position * len(values) // count] for position in range(count)]
