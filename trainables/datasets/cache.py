"""Images decoded once into a memory-mapped array that every run of a machine shares."""

import hashlib
import io
import logging
import os
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from trainables.atomic_cache import build_once
from trainables.datasets.decoded import decoded_blocks
from trainables.datasets.metadata import METADATA, read_metadata, write_metadata
from trainables.datasets.source import Index, Progress, Reader
from trainables.datasets.storage import ARRAY_REMEDY, CACHE_REMEDY, require_cache_room, storage_errors
from trainables.errors import DataError

__all__ = ["IMAGES", "METADATA", "build_entry", "problem", "stored_images", "verify", "write_images"]

IMAGES = "images.npy"
_METADATA_BYTES = 256  # per image: its path, label and split

_log = logging.getLogger(__name__)


def build_entry(folder: Path, build: Callable[[Path], None]) -> None:
    """Makes a cache entry by `build(temporary folder)` where it is absent or damaged.

    Raises:
        DataError: what `build` raises, or the cache cannot be written; nothing is left behind.
    """
    if folder.exists() and (damage := problem(folder)):
        _log.warning("image cache %s is damaged (%s); it is not used and is built again", folder, damage)
    with storage_errors(folder.parent, remedy=CACHE_REMEDY):
        build_once(folder, build, is_valid=lambda entry: problem(entry) is None)


def problem(folder: Path) -> str | None:
    """What makes a cache entry unusable: its metadata or the size of its array. The pixels are left to `verify`."""
    try:
        expected = read_metadata(folder).get("bytes")  # none in an entry without pixels
        size = None if expected is None else (folder / IMAGES).stat().st_size
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None if size == expected else f"{IMAGES} has {size} bytes instead of {expected}"


def verify(folder: Path) -> None:
    """Reads the whole array and compares its checksum.

    Raises:
        DataError: the entry is damaged.
    """
    damage = problem(folder)
    if damage is None:
        with (folder / IMAGES).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != read_metadata(folder)["sha256"]:
            damage = f"the checksum of {IMAGES} is another one"
    if damage is not None:
        raise DataError(f"image cache {folder} is damaged: {damage}; delete the folder, the next run builds it again")


def stored_images(folder: Path) -> NDArray[np.uint8]:
    """The array of an entry, memory-mapped and read-only."""
    images: NDArray[np.uint8] = np.load(folder / IMAGES, mmap_mode="r")
    return images


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
    count, shapes = len(index.paths), list[tuple[int, int]]()
    needed = count * prod(shape) + _METADATA_BYTES * count
    require_cache_room(folder.parent, needed, arrays=f"*/{IMAGES}")
    full = storage_errors(folder.parent, needed=needed, remedy=ARRAY_REMEDY)
    with full, (folder / IMAGES).open("wb") as stream:
        output = _Hashed(stream)
        output.write(_header((count, *shape)))
        for pixels, found in decoded_blocks(read, count, shape=shape, progress=progress, description=description):
            output.write(pixels.tobytes())
            shapes += found
        size = stream.tell()
        stream.flush()
        os.fsync(stream.fileno())
        framed = {"shapes": shapes} if shapes else {}
        write_metadata(folder, index, {**record, **framed, "bytes": size, "sha256": output.digest.hexdigest()})


class _Hashed:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.digest = stream, hashlib.sha256()

    def write(self, block: bytes) -> None:
        self.digest.update(block)
        self.stream.write(block)


def _header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()
