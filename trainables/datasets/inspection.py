"""A look at a dataset without training on it: how much there is, what cannot be read, what it looks like."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.datasets.config import DatasetConfig
from trainables.datasets.decoded import processors
from trainables.datasets.source import (
    SEARCHED,
    SPLITS,
    Framed,
    Index,
    Progress,
    Reader,
    Source,
    Survey,
    Surveyed,
    UnreadableImageError,
)
from trainables.errors import DataError
from trainables.parts import load_implementation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Inspection", "Repeated", "SampleRow", "SplitCounts", "inspect_dataset", "sample_rows"]

_REPORT_EVERY = 32
_ORDER = (SPLITS[0], *SEARCHED, *SPLITS[1:])


@dataclass(frozen=True)
class SplitCounts:
    """What a split has and what it lacks.

    Attributes:
        images, classes: that are there.
        smallest, largest: images of the smallest and of the largest of these classes.
        missing, unreadable: images that are not there, and of those that are there the ones that cannot be decoded.
        published: images and classes that it should have, where that is known.
    """

    images: int
    classes: int
    smallest: int
    largest: int
    missing: int = 0
    unreadable: int = 0
    published: tuple[int, int] | None = None


@dataclass(frozen=True)
class Inspection:
    """What a copy of a dataset holds.

    Attributes:
        splits: by name, "train" first.
        missing: images that the dataset's lists name and that are not there.
        unreadable: a message per image that cannot be decoded.
        faults: what else a run would refuse.
        repeated: groups of images that are the same after decoding.
        resolved: the configuration with its revision; None where a run would refuse the copy before it decodes.
    """

    splits: dict[str, SplitCounts]
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]
    faults: tuple[str, ...]
    repeated: tuple["Repeated", ...]
    resolved: DatasetConfig | None

    @property
    def whole(self) -> bool:
        """Whether a run can use the copy."""
        return not (self.missing or self.unreadable or self.faults)


@dataclass(frozen=True)
class Repeated:
    """Images with the same pixels: their names, and the classes and splits that they are in."""

    paths: tuple[str, ...]
    classes: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True)
class SampleRow:
    """Some images [C, H, W] of one class of one split."""

    split: str
    class_name: str
    images: tuple["NDArray[np.uint8]", ...]


def inspect_dataset(
    config: DatasetConfig, *, search: Sequence[Path], cache: Path, progress: Progress | None = None
) -> Inspection:
    """Counts a copy of a dataset and decodes every image of it once; faults are collected, no pixels are kept.

    Args:
        search: folders in which relative paths are looked up, in order.
        cache: remembers hashes for the revision.

    Raises:
        DataError: the data are absent, or their lists or folders are not those of such a dataset.
    """
    with _surveyed(config, search, cache, progress) as survey:
        index, missing = survey.index, set(survey.missing)
        there = [number for number in range(len(index.paths)) if number not in missing]
        looked = _looked_at_all(survey.read, there, progress, f"reading {config.title}")
    same = defaultdict[bytes, list[int]](list)
    for number, digest in looked.items():
        if isinstance(digest, bytes):
            same[digest].append(number)
    unusable = bool(missing or survey.faults)
    resolved = None if unusable else _resolved(config, search, cache, progress)
    return Inspection(
        splits=_splits(survey, looked),
        missing=tuple(index.paths[number] for number in survey.missing),
        unreadable=tuple(message for message in looked.values() if isinstance(message, str)),
        faults=(resolved,) if isinstance(resolved, str) else survey.faults,
        repeated=tuple(_repeated(index, group) for group in same.values() if len(group) > 1),
        resolved=None if isinstance(resolved, str) else resolved,
    )


@contextmanager
def _surveyed(
    config: DatasetConfig, search: Sequence[Path], cache: Path, progress: Progress | None
) -> Iterator[Survey]:
    source = _source(config)
    if isinstance(source, Surveyed):
        with source.survey(search=search) as survey:
            yield survey
    else:
        resolved = source.resolve(search=search, cache=cache, progress=progress)
        with _source(resolved).open() as (index, read):
            yield Survey(index, read)


def _resolved(
    config: DatasetConfig, search: Sequence[Path], cache: Path, progress: Progress | None
) -> DatasetConfig | str:
    """With its revision; or why a run would refuse a copy that looks right (unreadable bytes, a damaged label file)."""
    try:
        return _source(config).resolve(search=search, cache=cache, progress=progress)
    except DataError as error:
        return str(error)


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


def _looked_at_all(
    read: Reader, numbers: Sequence[int], progress: Progress | None, description: str
) -> dict[int, bytes | str]:
    """By image number, in threads: a digest of the pixels, or why there are none."""
    looked: dict[int, bytes | str] = {}
    with ThreadPoolExecutor(processors()) as pool:
        for number, result in zip(numbers, pool.map(lambda number: _looked_at(read, number), numbers), strict=True):
            looked[number] = result
            if progress is not None and (len(looked) % _REPORT_EVERY == 0 or len(looked) == len(numbers)):
                progress(len(looked), len(numbers), description)
    return looked


def _looked_at(read: Reader, number: int) -> bytes | str:
    try:
        image = read(number)
    except UnreadableImageError as error:
        return str(error)
    pixels, shape = (image.pixels, image.shape) if isinstance(image, Framed) else (image, ())
    return hashlib.blake2b(repr(shape).encode() + pixels.tobytes(), digest_size=16).digest()


def _repeated(index: Index, group: Sequence[int]) -> Repeated:
    return Repeated(
        tuple(index.paths[number] for number in group),
        tuple(dict.fromkeys(index.class_names[index.labels[number]] for number in group)),
        tuple(dict.fromkeys(index.split[number] for number in group)),
    )


def _pixels(read: Reader, number: int) -> "NDArray[np.uint8]":
    image = read(number)
    return image.pixels if isinstance(image, Framed) else image


def _members(index: Index) -> dict[str, dict[int, list[int]]]:
    """Image numbers by split and label, training images first."""
    found: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, (split, label) in enumerate(zip(index.split, index.labels, strict=True)):
        found[split][label].append(number)
    return {split: found[split] for split in sorted(found, key=_ORDER.index)}


def _splits(survey: Survey, looked: Mapping[int, bytes | str]) -> dict[str, SplitCounts]:
    members = _members(survey.index)
    names = sorted({*members, *survey.published}, key=_ORDER.index)
    missing = Counter(survey.index.split[number] for number in survey.missing)
    unreadable = Counter(survey.index.split[number] for number, result in looked.items() if isinstance(result, str))
    result = {}
    for name in names:
        there = [sum(number in looked for number in numbers) for numbers in members.get(name, {}).values()]
        sizes = [size for size in there if size]
        spread = (min(sizes), max(sizes)) if sizes else (0, 0)
        published = survey.published.get(name)
        result[name] = SplitCounts(sum(sizes), len(sizes), *spread, missing[name], unreadable[name], published)
    return result


def _spread(values: Sequence[int], count: int) -> list[int]:
    """At most `count` of the values, at equal distances, the first among them."""
    count = min(count, len(values))
    return [values[position * len(values) // count] for position in range(count)]
