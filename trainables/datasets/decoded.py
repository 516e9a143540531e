"""One pass over all images of a dataset: decoded in threads, in their order, every unreadable one named."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.source import Framed, Progress, Reader, UnreadableImageError
from trainables.errors import DataError

__all__ = ["Block", "decoded_blocks", "processors"]

Block = tuple[NDArray[np.uint8], list[tuple[int, int]]]
"""Pixels [n, C, H, W] of the next images, and the shapes of those that remember one."""

_Decoded = NDArray[np.uint8] | Framed | UnreadableImageError
_CHUNK = 32
_SHOWN = 5


def decoded_blocks(
    read: Reader, count: int, *, shape: tuple[int, int, int], progress: Progress | None = None, description: str = ""
) -> Iterator[Block]:
    """All images in their order; after the first unreadable one only to find the others.

    Raises:
        DataError: images that cannot be read; the message names the first and their number.
    """
    failures: list[str] = []
    for done, chunk in _chunks(read, count):
        failures += [str(image) for image in chunk if isinstance(image, UnreadableImageError)]
        if not failures:
            yield _pixels(chunk, shape), [image.shape for image in chunk if isinstance(image, Framed)]
        if progress is not None:
            progress(done, count, description)
    if failures:
        raise DataError(f"{description}: {_unreadable(failures, count)}")


def processors() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pixels(chunk: list[_Decoded], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    arrays = [image.pixels if isinstance(image, Framed) else image for image in chunk]
    array = np.stack([pixels for pixels in arrays if not isinstance(pixels, UnreadableImageError)])
    if array.shape[1:] != shape or array.dtype != np.uint8:
        raise ValueError(f"a source returned {array.dtype} images of {array.shape[1:]} instead of uint8 {shape}")
    return array


def _chunks(read: Reader, count: int) -> Iterator[tuple[int, list[_Decoded]]]:
    """(images so far, the next ones in order); threads work ahead by a bounded number of chunks."""

    def chunk(start: int) -> tuple[int, list[_Decoded]]:
        stop = min(start + _CHUNK, count)
        return stop, [_attempt(read, number) for number in range(start, stop)]

    workers = processors()
    pending: deque[Future[tuple[int, list[_Decoded]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, count, _CHUNK):
            pending.append(pool.submit(chunk, start))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _attempt(read: Reader, number: int) -> _Decoded:
    try:
        return read(number)
    except UnreadableImageError as error:
        return error


def _unreadable(failures: list[str], count: int) -> str:
    more = f"; and {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
    named = "; ".join(failures[:_SHOWN])
    return f"{len(failures)} of {count} images cannot be read: {named}{more}. Replace or remove them"
