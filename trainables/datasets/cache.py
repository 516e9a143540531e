"""Images decoded once into a memory-mapped array that every run of a machine shares."""

import hashlib
import io
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from trainables.atomic_cache import build_once
from trainables.datasets.images import ImageSet
from trainables.datasets.source import Framed, Index, Progress, Reader, UnreadableImageError
from trainables.datasets.storage import require_space, storage_errors
from trainables.datasets.targets import Targets
from trainables.errors import DataError

__all__ = ["IMAGES", "METADATA", "open_or_build", "problem", "verify", "write_images"]

IMAGES, METADATA = "images.npy", "metadata.json"
_FORMAT = 1
_CHUNK = 32
_METADATA_BYTES = 256  # per image: its path, label and split
_SHOWN = 5

Decoded = NDArray[np.uint8] | Framed | UnreadableImageError

_log = logging.getLogger(__name__)


def open_or_build(folder: Path, build: Callable[[Path], None]) -> ImageSet:
    """The images of a cache entry, after `build(temporary folder)` filled it where it is absent or damaged.

    Raises:
        DataError: what `build` raises, or the cache cannot be written; nothing is left behind.
    """
    if folder.exists() and (damage := problem(folder)):
        _log.warning("image cache %s is damaged (%s); it is not used and is built again", folder, damage)
    with storage_errors(folder.parent):
        build_once(folder, build, is_valid=lambda entry: problem(entry) is None)
    return _open(folder)


def problem(folder: Path) -> str | None:
    """What makes a cache entry unusable: its metadata or the size of its array. The pixels are left to `verify`."""
    try:
        metadata = _read_metadata(folder)
        size = (folder / IMAGES).stat().st_size
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None if size == metadata["bytes"] else f"{IMAGES} has {size} bytes instead of {metadata['bytes']}"


def verify(folder: Path) -> None:
    """Reads the whole array and compares its checksum.

    Raises:
        DataError: the entry is damaged.
    """
    damage = problem(folder)
    if damage is None:
        with (folder / IMAGES).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != _read_metadata(folder)["sha256"]:
            damage = f"the checksum of {IMAGES} is another one"
    if damage is not None:
        raise DataError(f"image cache {folder} is damaged: {damage}; delete the folder, the next run builds it again")


def _open(folder: Path) -> ImageSet:
    metadata = _read_metadata(folder)
    labels = np.array(metadata["labels"], dtype=np.int64)
    split = np.array(metadata["split"], dtype=np.str_)
    for array in (labels, split):
        array.setflags(write=False)
    targets = metadata.get("targets")  # absent in entries of earlier versions
    return ImageSet(
        images=np.load(folder / IMAGES, mmap_mode="r"),
        labels=labels,
        split=split,
        class_names=tuple(metadata["class_names"]),
        paths=tuple(metadata["paths"]),
        revision=metadata["revision"],
        key=folder.name,
        targets=None if targets is None else Targets.recorded(targets),
        shapes=_shapes(metadata),
    )


def _shapes(metadata: Mapping[str, Any]) -> NDArray[np.int64] | None:
    if "shapes" not in metadata:
        return None
    shapes = np.array(metadata["shapes"], dtype=np.int64)
    shapes.setflags(write=False)
    return shapes


def write_images(
    folder: Path,
    index: Index,
    read: Reader,
    *,
    shape: tuple[int, int, int],
    record: Mapping[str, Any],
    progress: Progress | None = None,
    description: str = "",
) -> None:
    """Decodes every image into `folder`, in threads, with a checksum; the metadata come last.

    Written and not memory-mapped: on a full disk a write is an error, a mapped page is a crash.

    Args:
        shape: (C, H, W) of every image.
        record: stands in the metadata, `revision` among it.

    Raises:
        DataError: images that cannot be read, the message names the first and their number; or the disk is full.
    """
    count, failures, shapes = len(index.paths), list[str](), list[tuple[int, int]]()
    needed = count * prod(shape) + _METADATA_BYTES * count
    require_space(folder.parent, needed)
    with storage_errors(folder.parent, needed=needed), (folder / IMAGES).open("wb") as stream:
        output = _Hashed(stream)
        output.write(_header((count, *shape)))
        for done, chunk in _decoded(read, count):
            failures += [str(image) for image in chunk if isinstance(image, UnreadableImageError)]
            if not failures:
                output.write(_pixels(chunk, shape))
                shapes += [image.shape for image in chunk if isinstance(image, Framed)]
            if progress is not None:
                progress(done, count, description)
        size = stream.tell()
        stream.flush()
        os.fsync(stream.fileno())
    if failures:
        raise DataError(f"{description}: {_unreadable(failures, count)}")
    framed = {"shapes": shapes} if shapes else {}
    _write_metadata(folder, index, {**record, **framed, "bytes": size, "sha256": output.digest.hexdigest()})


class _Hashed:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.digest = stream, hashlib.sha256()

    def write(self, block: bytes) -> None:
        self.digest.update(block)
        self.stream.write(block)


def _pixels(chunk: list[Decoded], shape: tuple[int, int, int]) -> bytes:
    arrays = [image.pixels if isinstance(image, Framed) else image for image in chunk]
    array = np.stack([pixels for pixels in arrays if not isinstance(pixels, UnreadableImageError)])
    if array.shape[1:] != shape or array.dtype != np.uint8:
        raise ValueError(f"a source returned {array.dtype} images of {array.shape[1:]} instead of uint8 {shape}")
    return array.tobytes()


def _header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _decoded(read: Reader, count: int) -> Iterator[tuple[int, list[Decoded]]]:
    """(images so far, the next ones in order); threads work ahead by a bounded number of chunks."""

    def chunk(start: int) -> tuple[int, list[Decoded]]:
        stop = min(start + _CHUNK, count)
        return stop, [_attempt(read, number) for number in range(start, stop)]

    workers = _processors()
    pending: deque[Future[tuple[int, list[Decoded]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, count, _CHUNK):
            pending.append(pool.submit(chunk, start))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _attempt(read: Reader, number: int) -> Decoded:
    try:
        return read(number)
    except UnreadableImageError as error:
        return error


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _unreadable(failures: list[str], count: int) -> str:
    more = f"; and {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
    named = "; ".join(failures[:_SHOWN])
    return f"{len(failures)} of {count} images cannot be read: {named}{more}. Replace or remove them"


def _write_metadata(folder: Path, index: Index, record: Mapping[str, Any]) -> None:
    content = {"format": _FORMAT, **record, **asdict(index)}
    (folder / METADATA).write_text(json.dumps({"sha256": _digest(content), "content": content}))


def _read_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of an entry.

    Raises:
        ValueError: damaged, or of another format.
    """
    metadata = json.loads((folder / METADATA).read_bytes())
    if not isinstance(metadata, dict) or metadata.get("sha256") != _digest(metadata.get("content")):
        raise ValueError(f"the checksum of {METADATA} does not hold")
    content: dict[str, Any] = metadata["content"]
    if content["format"] != _FORMAT:
        raise ValueError(f"format {content['format']} instead of {_FORMAT}")
    return content


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
