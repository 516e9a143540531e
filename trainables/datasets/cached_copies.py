"""The copies of a dataset in the image cache: where they are, and whether their pixels are what was decoded."""

from collections.abc import Iterator
from pathlib import Path

from trainables.datasets.cache import verify
from trainables.datasets.catalog import images_folder
from trainables.datasets.config import DatasetConfig
from trainables.datasets.metadata import read_metadata

__all__ = ["cached_copies", "verify_copies"]


def cached_copies(config: DatasetConfig, *, cache: Path) -> Iterator[Path]:
    """Entries with the pixels of a resolved dataset's content, at any size; that of its settings even if damaged."""
    own = images_folder(config, cache=cache)
    if config.decode == "once" and own.exists():
        yield own
    for folder in sorted((cache / "images").glob("*/")):
        if folder != own and _revision(folder) == config.revision:
            yield folder


def verify_copies(config: DatasetConfig, *, cache: Path) -> int:
    """Reads all copies and compares their checksums.

    Returns:
        How many there are.

    Raises:
        DataError: one is damaged; the message names its folder.
    """
    count = 0
    for folder in cached_copies(config, cache=cache):
        verify(folder)
        count += 1
    return count


def _revision(folder: Path) -> str | None:
    """None where it cannot be read: then nobody knows which dataset it was."""
    try:
        revision: str | None = read_metadata(folder).get("revision")
    except (OSError, ValueError):
        return None
    return revision
