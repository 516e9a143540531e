"""What the public datasets share: official lists become an index, and nothing that they promise may be missing."""

import importlib.metadata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainables.datasets.config import Benchmark
from trainables.datasets.files import ListedFiles, is_junk
from trainables.datasets.image_folder import locate
from trainables.datasets.revision import files_revision
from trainables.datasets.source import Framed, Index, Progress, Reader, Survey, Tell, UnreadableImageError, refuse
from trainables.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BenchmarkSource", "ClassKey", "Entry", "Listed"]

_REMEDY = "correct the path, or let `dml-study datasets prepare {name}` unpack or download it"

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
        root = self._located(search)
        listed = self.checked(root)
        files = ListedFiles(root, root, [*listed.files, *(entry.path for entry in listed.entries)])
        revision = files_revision(files, cache=cache, progress=progress)
        return self.config.model_copy(update={"path": str(root), "revision": revision})

    def decoder(self) -> str:
        return f"pillow {importlib.metadata.version('pillow')}"

    @property
    def channels(self) -> Literal[1, 3]:
        """Of the decoded images."""
        return 3

    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.config.image_size, self.config.image_size

    @contextmanager
    def open(self) -> Iterator[tuple[Index, Reader]]:
        root = Path(self.config.path)
        listed = self.checked(root)
        yield _index(listed), self._reader(root, listed.entries)

    def checked(self, root: Path) -> Listed:
        """The images below a folder, after a look at whether they are the dataset; no image is read.

        Raises:
            DataError: a list or an image is missing, an image or a class occurs twice, or counts are other ones.
        """
        listed = self._without_junk(root)
        _tell_faults(root, listed, self.config, refuse)
        _refuse_absent(root, listed.entries)
        return listed

    @contextmanager
    def survey(self, *, search: Sequence[Path]) -> Iterator[Survey]:
        root, faults = self._located(search), list[str]()
        listed = self._without_junk(root)
        _tell_faults(root, listed, self.config, faults.append)
        entries = tuple({entry.path: entry for entry in listed.entries}.values())
        index, read = _index(replace(listed, entries=entries)), self._reader(root, entries)
        missing = tuple(number for number, entry in enumerate(entries) if _is_absent(root, entry))
        yield Survey(index, read, missing, tuple(faults), self.config.published)

    def _located(self, search: Sequence[Path]) -> Path:
        name = self.config.name
        return locate(self.config.path, search, part=name, remedy=_REMEDY.format(name=name))

    def _without_junk(self, root: Path) -> Listed:
        listed = self.listed(root)
        return replace(listed, entries=tuple(entry for entry in listed.entries if not is_junk(entry.path)))

    def _reader(self, root: Path, entries: Sequence[Entry]) -> Reader:
        from trainables.datasets.decoding import reader

        paths, size, resize = [entry.path for entry in entries], self.config.image_size, self.config.resize
        decoded = reader(
            paths, lambda path: (root / path).read_bytes(), size=size, channels=self.channels, resize=resize
        )

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


def _tell_faults(root: Path, listed: Listed, config: Benchmark, tell: Tell) -> None:
    _tell_repeated(listed.entries, tell)
    _tell_shared_classes(listed.entries, tell)
    _tell_counts(root, listed, config, tell)


def _tell_repeated(entries: Sequence[Entry], tell: Tell) -> None:
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in first:
            tell(f"{entry.place}: image '{entry.path}' is named already, in {first[entry.path].place}")
        first.setdefault(entry.path, entry)


def _tell_shared_classes(entries: Sequence[Entry], tell: Tell) -> None:
    """Once for each class."""
    training = {entry.key: entry for entry in entries if entry.split == "train"}
    unseen = {entry.key: entry for entry in reversed(entries) if entry.split != "train"}
    for entry in reversed(unseen.values()):
        if entry.key in training:
            tell(
                f"{entry.place}: class {entry.key} of the split '{entry.split}' is a training class too, in "
                f"{training[entry.key].place}; retrieval is measured on unseen classes"
            )


def _is_absent(root: Path, entry: Entry) -> bool:
    return not (root / entry.path).is_file()


def _refuse_absent(root: Path, entries: Sequence[Entry]) -> None:
    absent = [entry for entry in entries if _is_absent(root, entry)]
    if absent:
        raise DataError(
            f"{absent[0].place}: '{absent[0].path}' does not exist below {root}; {len(absent)} of {len(entries)} "
            "images are missing; unpack the archive of the images there"
        )


def _tell_counts(root: Path, listed: Listed, config: Benchmark, tell: Tell) -> None:
    """A split without images in any case; numbers that are not the published ones unless a subset is wanted."""
    images, classes = Counter(entry.split for entry in listed.entries), defaultdict[str, set[ClassKey]](set)
    for entry in listed.entries:
        classes[entry.split].add(entry.key)
    for split, published in config.published.items():
        found = images[split], len(classes[split])
        if not images[split] or (config.counts == "checked" and published not in (None, found)):
            by = ", ".join(listed.files) or "its folders"
            expected = "" if published is None else f", published are {published[0]} of {published[1]}"
            tell(
                f"{root}: the split '{split}' has {found[0]} images of {found[1]} classes by {by}{expected}"
                f"{_empty_classes(listed)}; download it again, or use a subset with counts: any (every split needs "
                "images)"
            )


def _empty_classes(listed: Listed) -> str:
    used = {entry.key for entry in listed.entries}
    empty = [f"{key} ({name})" for key, name in listed.classes.items() if key not in used]
    return f"; class {empty[0]} has no image, like {len(empty) - 1} others" if empty else ""
