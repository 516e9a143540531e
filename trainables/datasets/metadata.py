"""What a cache entry knows of its images besides their pixels, with a checksum."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.images import Images, ImageSet
from trainables.datasets.source import Index
from trainables.datasets.targets import Targets

__all__ = ["METADATA", "digest", "image_set", "read_metadata", "write_metadata"]

METADATA = "metadata.json"
_FORMAT = 1


def image_set(metadata: Mapping[str, Any], images: Images, *, key: str) -> ImageSet:
    """Pixels with the labels that stand in an entry's metadata; `key` is the entry's name."""
    targets = metadata.get("targets")  # absent in entries of earlier versions
    return ImageSet(
        images=images,
        labels=_fixed(np.array(metadata["labels"], dtype=np.int64)),
        split=_fixed(np.array(metadata["split"], dtype=np.str_)),
        class_names=tuple(metadata["class_names"]),
        paths=tuple(metadata["paths"]),
        revision=metadata["revision"],
        key=key,
        targets=None if targets is None else Targets.recorded(targets),
        shapes=_fixed(np.array(metadata["shapes"], dtype=np.int64)) if "shapes" in metadata else None,
    )


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def write_metadata(folder: Path, index: Index, record: Mapping[str, Any]) -> None:
    """Writes the index and whatever else an entry records."""
    content = {"format": _FORMAT, **record, **asdict(index)}
    (folder / METADATA).write_text(json.dumps({"sha256": digest(content), "content": content}))


def read_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of an entry.

    Raises:
        OSError: absent.
        ValueError: damaged, or of another format.
    """
    metadata = json.loads((folder / METADATA).read_bytes())
    if not isinstance(metadata, dict) or metadata.get("sha256") != digest(metadata.get("content")):
        raise ValueError(f"the checksum of {METADATA} does not hold")
    content: dict[str, Any] = metadata["content"]
    if content["format"] != _FORMAT:
        raise ValueError(f"format {content['format']} instead of {_FORMAT}")
    return content


def digest(content: Any) -> str:
    """SHA-256 of what JSON can hold; tuples count as lists."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
