"""The way in: find a dataset, name its content, load its images. Importing this loads neither numpy nor torch."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.datasets.config import DatasetConfig
from trainables.datasets.source import Progress, Source
from trainables.datasets.storage import cache_folder
from trainables.errors import DataError
from trainables.parts import identity, load_implementation

if TYPE_CHECKING:
    from trainables.datasets.images import ImageSet

__all__ = ["cache_folder", "data_folders", "images_folder", "load_images", "resolve", "verify_images"]

_CHUNK = 256


def data_folders(spec_folder: Path | None) -> list[Path]:
    """Where relative paths are looked up: beside the spec, in $DML_STUDY_DATA, in ./data."""
    named = os.environ.get("DML_STUDY_DATA")
    folders = [spec_folder, Path(named).expanduser() if named else None, Path("data")]
    return [folder.absolute() for folder in folders if folder is not None]


def resolve(
    config: DatasetConfig, *, search: Sequence[Path], cache: Path, progress: Progress | None = None
) -> DatasetConfig:
    """The same configuration with an absolute path and its content revision; decodes and draws nothing.

    Args:
        search: folders in which relative paths are looked up, in order; see `data_folders`.
        cache: remembers hashes, so that an unchanged dataset is not read again.

    Raises:
        DataError: the data are absent or not usable as they are.
    """
    return _source(config).resolve(search=search, cache=cache, progress=progress)


def load_images(
    config: DatasetConfig, *, cache: Path, progress: Progress | None = None, workers: int | None = None
) -> "ImageSet":
    """The images of a resolved configuration from the cache, decoded first where the cache does not have them.

    Where it has them, the dataset itself is not looked at and may be absent. With `decode: each_time` the cache has a
    checksum of each image instead, and the dataset is read again by whoever asks for pixels.

    Args:
        workers: threads that decode images when they are asked for; all CPUs of this process by default.

    Raises:
        DataError: absent or damaged data, data that changed since the configuration was resolved, no room in the cache.
    """
    from trainables.datasets import cache as images
    from trainables.datasets.metadata import image_set, read_metadata
    from trainables.datasets.on_demand import OnDemand, write_checksums

    if not config.revision:
        config = resolve(config, search=data_folders(None), cache=cache, progress=progress)
    source, entry = _source(config), images_folder(config, cache=cache)
    write = images.write_images if config.decode == "once" else write_checksums

    def build(folder: Path) -> None:
        _require_unchanged(config, cache)
        with source.open() as (index, read):
            record = {"revision": config.revision, "parameters": identity(config), "decoder": source.decoder()}
            write(
                folder,
                index,
                read,
                shape=source.shape(),
                record=record,
                progress=progress,
                description=f"{'decoding' if config.decode == 'once' else 'checking'} {config.title}",
            )
        _require_unchanged(config, cache)

    images.build_entry(entry, build)
    metadata = read_metadata(entry)
    if config.decode == "once":
        return image_set(metadata, images.stored_images(entry), key=entry.name)
    return image_set(metadata, OnDemand(source, metadata, title=config.title, workers=workers), key=entry.name)


def verify_images(config: DatasetConfig, *, cache: Path) -> None:
    """Compares the checksums of all pixels, which opening does not.

    Raises:
        DataError: cached pixels are absent or damaged; those that are decoded each time are other ones now.
    """
    from trainables.datasets.cache import verify

    if config.decode == "once":
        verify(images_folder(config, cache=cache))
    else:
        images = load_images(config, cache=cache).images
        for start in range(0, len(images), _CHUNK):
            images[start : start + _CHUNK]


def images_folder(config: DatasetConfig, *, cache: Path) -> Path:
    """The cache entry of a resolved configuration, named by a hash of everything that its pixels depend on."""
    content = {"identity": identity(config), "decoder": _source(config).decoder()}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    kind = "images" if config.decode == "once" else "checksums"
    return cache / kind / hashlib.sha256(text.encode()).hexdigest()[:16]


def _source(config: DatasetConfig) -> Source:
    source: Source = load_implementation(config)(config)
    return source


def _require_unchanged(config: DatasetConfig, cache: Path) -> None:
    found = resolve(config, search=(), cache=cache).revision
    if found != config.revision:
        raise DataError(
            f"dataset {config.title} changed: the run was planned with revision {config.revision}, its content now has "
            f"{found}; plan the study again, or put the old content back"
        )
