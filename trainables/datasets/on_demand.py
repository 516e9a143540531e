"""Images that are decoded whenever they are asked for: for sets whose decoded array no disk holds."""

import weakref
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.decoded import decoded_blocks, processors
from trainables.datasets.metadata import digest, write_metadata
from trainables.datasets.source import Framed, Index, Progress, Reader, Source, UnreadableImageError
from trainables.errors import DataError

__all__ = ["OnDemand", "write_checksums"]

_REMEDY = "put the old content back, or plan the study again"


def write_checksums(
    folder: Path,
    index: Index,
    read: Reader,
    *,
    shape: tuple[int, int, int],
    record: Mapping[str, Any],
    progress: Progress | None = None,
    description: str = "",
) -> None:
    """Decodes every image once, in threads, and keeps of each a checksum of its pixels and no pixel.

    Args:
        shape: (C, H, W) of every image.
        record: stands in the metadata, `revision` among it.

    Raises:
        DataError: images that cannot be read, the message names the first and their number.
    """
    checksums, shapes = list[int](), list[tuple[int, int]]()
    for pixels, found in decoded_blocks(
        read, len(index.paths), shape=shape, progress=progress, description=description
    ):
        checksums += [zlib.crc32(image) for image in pixels]
        shapes += found
    framed = {"shapes": shapes} if shapes else {}
    write_metadata(folder, index, {**record, **framed, "shape": shape, "crc32": checksums})


class OnDemand:
    """An `Images` without an array; the same pixels to the last bit.

    The dataset is opened when the first image is asked for and stays open as long as this object lives. Each image is
    compared with the checksum of its pixels, so that a file that changed is never taken for the one it was.

    Attributes:
        shape: (N, C, H, W).
    """

    def __init__(self, source: Source, metadata: Mapping[str, Any], *, title: str, workers: int | None = None) -> None:
        """
        Args:
            metadata: of the entry that `write_checksums` made.
            title: what messages call the dataset.
            workers: threads that decode; all CPUs of this process by default.
        """
        self.shape: tuple[int, ...] = (len(metadata["paths"]), *metadata["shape"])
        self._source, self._title, self._workers = source, title, workers or processors()
        self._paths, self._checksums = metadata["paths"], np.array(metadata["crc32"], dtype=np.uint32)
        self._index = _index_digest(metadata)
        self._pool: ThreadPoolExecutor | None = None
        self._opening = Lock()
        self._coming: Iterator[NDArray[np.int64]] = iter(())
        self._ahead: dict[int, Future[NDArray[np.uint8]]] = {}
        self._open = ExitStack()
        weakref.finalize(self, self._open.close)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, positions: NDArray[np.int64] | slice, /) -> NDArray[np.uint8]:
        """uint8 [number of positions, C, H, W], decoded now if not ahead; an image that occurs twice only once.

        Raises:
            DataError: an image cannot be read any more or has other pixels, or the dataset has other images or labels.
        """
        wanted = np.arange(len(self))[positions]
        numbers, places = np.unique(wanted, return_inverse=True)
        pixels = np.empty((len(numbers), *self.shape[1:]), dtype=np.uint8)
        for place, image in enumerate(self._decoding(numbers)):
            pixels[place] = image.result()
        self._go_ahead(numbers)
        return pixels if np.array_equal(wanted, numbers) else pixels[places]

    def expect(self, batches: Iterable[NDArray[np.int64]]) -> None:
        """Announces what will be asked for next: one of these batches is always decoded ahead."""
        self._coming = iter(batches)
        self._next_ahead()

    def _decoding(self, numbers: NDArray[np.int64]) -> list[Future[NDArray[np.uint8]]]:
        ahead, pool = self._ahead, self._opened()
        return [ahead.get(number) or pool.submit(self._read, number) for number in numbers.tolist()]

    def _go_ahead(self, numbers: NDArray[np.int64]) -> None:
        """After a batch that was announced, with the one after it; what nobody announced leaves the order as it is."""
        if not self._ahead.keys().isdisjoint(numbers.tolist()):
            self._next_ahead()

    def _next_ahead(self) -> None:
        for image in self._ahead.values():
            image.cancel()
        numbers, pool = next(self._coming, np.empty(0, dtype=np.int64)), self._opened()
        self._ahead = {number: pool.submit(self._read, number) for number in np.unique(numbers).tolist()}

    def _opened(self) -> ThreadPoolExecutor:
        """The threads; the dataset is opened before them, and closed after."""
        with self._opening:
            if self._pool is None:
                index, read = self._open.enter_context(self._source.open())
                if _index_digest(asdict(index)) != self._index:
                    raise DataError(f"dataset {self._title} changed: it has other images or labels now; {_REMEDY}")
                # Without a reference to this object: its last one must not vanish in a thread that closing waits for.
                self._read = partial(_checked, read, self._paths, self._checksums, self._title)
                self._pool = self._open.enter_context(ThreadPoolExecutor(self._workers, "decode"))
            return self._pool


def _index_digest(content: Mapping[str, Any]) -> str:
    return digest({key: content.get(key) for key in ("paths", "labels", "split", "class_names", "targets")})


def _checked(
    read: Reader, paths: list[str], checksums: NDArray[np.uint32], title: str, number: int
) -> NDArray[np.uint8]:
    try:
        image = read(number)
    except UnreadableImageError as error:
        raise DataError(f"dataset {title}: {error} cannot be read any more; {_REMEDY}") from error
    pixels = image.pixels if isinstance(image, Framed) else image
    if zlib.crc32(np.ascontiguousarray(pixels).data) != checksums[number]:
        raise DataError(f"dataset {title} changed: '{paths[number]}' has other pixels than before; {_REMEDY}")
    return pixels
