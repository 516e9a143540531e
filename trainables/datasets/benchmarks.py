"""What the public datasets share: official lists become an index, and nothing that they promise may be missing."""

import importlib.metadata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.datasets.config import Benchmark
from trainables.datasets.files import ListedFiles, is_junk
from trainables.datasets.image_folder import locate
from trainables.datasets.revision import files_revision
from trainables.datasets.source import Framed, Index, Progress, Reader, UnreadableImageError
from trainables.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BenchmarkSource", "ClassKey", "Entry", "Listed"]

ClassKey = int | str
"""The official id of a class."""


@dataclass(frozen=True)
class Entry:
    """One image of a list.

    Attributes:
        path: relative to the dataset's folder.
        key: official id of the class.
        split: "train" and "test", or "train", "query" and "gallery".
        place: file and line that name the image.
    """

    path: str
    key: ClassKey
    split: str
    place: str


@dataclass(frozen=True)
class Listed:
    """What the official files say.

    Attributes:
        entries: all images, in the order of the files.
        classes: name of every class by its id, also of those that no image has.
        files: the official files that were read, relative to the dataset's folder.
    """

    entries: tuple[Entry, ...]
    classes: dict[ClassKey, str]
    files: tuple[str, ...]


class BenchmarkSource:
    """The source of a dataset in its official layout; see `trainables.datasets.source.Source`.

    The revision covers the official lists that are read and the images that they name: other files of the archive
    (boxes, attributes, the split for classification) may be there or not. Labels count in the order of class ids.
    """

    def __init__(self, config: Benchmark) -> None:
        self.config = config

    def listed(self, root: Path) -> Listed:
        """What the official files below `root` say; every dataset has its own.

        Raises:
            DataError: a file is missing or is not what it should be; the message names file and line.
        """
        raise NotImplementedError

    def resolve(self, *, search: Sequence[Path], cache: Path, progress: Progress | None = None) -> Benchmark:
        root = locate(self.config.path, search, part=self.config.name)
        listed = self._checked(root)
        files = ListedFiles(root, root, [*listed.files, *(entry.path for entry in listed.entries)])
        revision = files_revision(files, cache=cache, progress=progress)
        return self.config.model_copy(update={"path": str(root), "revision": revision})

    def decoder(self) -> str:
        return f"pillow {importlib.metadata.version('pillow')}"

    def shape(self) -> tuple[int, int, int]:
        return 3, self.config.image_size, self.config.image_size

    @contextmanager
    def open(self) -> Iterator[tuple[Index, Reader]]:
        root = Path(self.config.path)
        listed = self._checked(root)
        yield _index(listed), self._reader(root, listed.entries)

    def _checked(self, root: Path) -> Listed:
        found = self.listed(root)
        listed = Listed(tuple(entry for entry in found.entries if not is_junk(entry.path)), found.classes, found.files)
        _refuse_repeated(listed.entries)
        _refuse_shared_classes(listed.entries)
        _refuse_absent(root, listed.entries)
        _refuse_counts(root, listed, self.config)
        return listed

    def _reader(self, root: Path, entries: Sequence[Entry]) -> Reader:
        from trainables.datasets.decoding import reader

        paths, size, resize = [entry.path for entry in entries], self.config.image_size, self.config.resize
        decoded = reader(paths, lambda path: (root / path).read_bytes(), size=size, channels=3, resize=resize)

        def read(number: int) -> "NDArray[np.uint8] | Framed":
            try:
                return decoded(number)
            except UnreadableImageError as error:
                raise UnreadableImageError(f"{entries[number].place}: {error}") from error

        return read


def _index(listed: Listed) -> Index:
    used = {entry.key for entry in listed.entries}
    keys = [key for key in sorted(listed.classes) if key in used]
    label = {key: number for number, key in enumerate(keys)}
    return Index(
        paths=tuple(entry.path for entry in listed.entries),
        labels=tuple(label[entry.key] for entry in listed.entries),
        split=tuple(entry.split for entry in listed.entries),
        class_names=tuple(listed.classes[key] for key in keys),
    )


def _refuse_repeated(entries: Sequence[Entry]) -> None:
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in first:
            raise DataError(f"{entry.place}: image '{entry.path}' is named already, in {first[entry.path].place}")
        first[entry.path] = entry


def _refuse_shared_classes(entries: Sequence[Entry]) -> None:
    training = {entry.key: entry for entry in entries if entry.split == "train"}
    for entry in entries:
        if entry.split != "train" and entry.key in training:
            raise DataError(
                f"{entry.place}: class {entry.key} of the split '{entry.split}' is a training class too, in "
                f"{training[entry.key].place}; retrieval is measured on unseen classes"
            )


def _refuse_absent(root: Path, entries: Sequence[Entry]) -> None:
    absent = [entry for entry in entries if not (root / entry.path).is_file()]
    if absent:
        raise DataError(
            f"{absent[0].place}: '{absent[0].path}' does not exist below {root}; {len(absent)} of {len(entries)} "
            "images are missing; unpack the archive of the images there"
        )


def _refuse_counts(root: Path, listed: Listed, config: Benchmark) -> None:
    """A split without images in any case; numbers that are not the published ones unless a subset is wanted."""
    images, classes = Counter(entry.split for entry in listed.entries), defaultdict[str, set[ClassKey]](set)
    for entry in listed.entries:
        classes[entry.split].add(entry.key)
    for split, (published_images, published_classes) in config.published.items():
        found, expected = (images[split], len(classes[split])), (published_images, published_classes)
        if not images[split] or (config.counts == "checked" and found != expected):
            raise DataError(
                f"{root}: the split '{split}' has {found[0]} images of {found[1]} classes by "
                f"{', '.join(listed.files)}, published are {expected[0]} of {expected[1]}{_empty_classes(listed)}; "
                "download it again, or use a subset with counts: any (every split needs images)"
            )


def _empty_classes(listed: Listed) -> str:
    used = {entry.key for entry in listed.entries}
    empty = [f"{key} ({name})" for key, name in listed.classes.items() if key not in used]
    return f"; class {empty[0]} has no image, like {len(empty) - 1} others" if empty else ""
