"""What a dataset has to offer to be planned, decoded and inspected. No numpy at import: planning loads every source."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from trainables.datasets.config import DatasetConfig, Published
from trainables.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SEARCHED", "SPLITS", "Framed", "Index", "IndexedTargets", "Progress", "Reader", "Source"]
__all__ += ["Survey", "Surveyed", "Tell", "UnreadableImageError", "refuse"]

SPLITS = ("train", "test")
"""Every dataset has both; validation classes are taken from the training classes by the protocol."""
SEARCHED = ("query", "gallery")
"""What a dataset has instead of "test" where queries search other images than themselves."""


class Progress(Protocol):
    """Called now and then during work that takes seconds or minutes, in the thread that asked for the work."""

    def __call__(self, done: int, total: int, description: str, /) -> None: ...


class UnreadableImageError(Exception):
    """One image that cannot be decoded; the message names it and the reason. Collected into one `DataError`."""


@dataclass(frozen=True)
class IndexedTargets:
    """Continuous labels of the images of an index; see `trainables.datasets.targets.Targets`."""

    values: tuple[tuple[float, ...], ...]
    group: tuple[int, ...]
    period: float | None = None


@dataclass(frozen=True)
class Index:
    """The images of a dataset in their order, without pixels.

    Attributes:
        paths: one name per image, relative to the dataset.
        labels: index into `class_names` per image.
        split: one of `SPLITS` per image; or "train", "query" and "gallery".
        class_names: over both splits.
        targets: continuous labels, where the dataset has them.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    split: tuple[str, ...]
    class_names: tuple[str, ...]
    targets: IndexedTargets | None = None


@dataclass(frozen=True)
class Framed:
    """Pixels of an image that was squashed to its array, and the height and width that it had before."""

    pixels: "NDArray[np.uint8]"
    shape: tuple[int, int]


Reader = Callable[[int], "NDArray[np.uint8] | Framed"]
"""Image number -> pixels uint8 [C, H, W], those of all images framed or of none.

Called from several threads; raises `UnreadableImageError`.
"""


class Source(Protocol):
    """A dataset behind its configuration, constructed as `implementation(config)`."""

    def resolve(self, *, search: Sequence[Path], cache: Path, progress: Progress | None = None) -> DatasetConfig:
        """The configuration with the place of the data made absolute and `revision` filled in; decodes nothing.

        Raises:
            DataError: the data are absent or not usable as they are.
        """
        ...

    def decoder(self) -> str:
        """Name and version of what else the pixels depend on, besides revision, parameters and `numerics_version`."""
        ...

    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        ...

    def open(self) -> AbstractContextManager[tuple[Index, Reader]]:
        """The images of a resolved configuration, readable until the context ends."""
        ...


Tell = Callable[[str], None]
"""Gets a sentence about each fault of a copy: `refuse`, or something that collects them."""


def refuse(message: str) -> None:
    """A `Tell` that stops at the first fault.

    Raises:
        DataError: always.
    """
    raise DataError(message)


@dataclass(frozen=True)
class Survey:
    """A copy of a dataset as it is, faults included.

    Attributes:
        index: the images that the dataset has by its lists, there or not; those that are there if it has no lists.
        read: reads those that are there.
        missing: numbers of the images that are not there.
        faults: what else a run would refuse.
        published: what the splits should have, where that is known.
    """

    index: Index
    read: Reader
    missing: tuple[int, ...] = ()
    faults: tuple[str, ...] = ()
    published: Published = field(default_factory=dict)


@runtime_checkable
class Surveyed(Protocol):
    """A source whose copies may have faults; one without `survey` is opened, and refuses what a run refuses."""

    def survey(self, *, search: Sequence[Path]) -> AbstractContextManager[Survey]:
        """Looks at a configuration that need not be resolved; readable until the context ends.

        Raises:
            DataError: the data are absent, or their lists or folders are not those of such a dataset.
        """
        ...
