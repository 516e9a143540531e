"""The content revision of a dataset: a hash that is the same wherever the same files lie, and read only once."""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainables.datasets.files import DAMAGED, Files, Stamp
from trainables.datasets.source import Progress
from trainables.datasets.storage import CACHE_REMEDY, storage_errors
from trainables.errors import DataError

__all__ = ["content_revision", "files_revision", "sha256_of"]

_log = logging.getLogger(__name__)


def content_revision(contents: Iterable[tuple[str, int, str]]) -> str:
    """16 hexadecimal digits of the SHA-256 over sorted (relative path, size in bytes, SHA-256 of the content)."""
    text = json.dumps(sorted(contents), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def files_revision(files: Files, *, cache: Path, progress: Progress | None = None) -> str:
    """The revision over every file of a dataset, a `labels.csv` or a licence beside the images included.

    Hashes are remembered in `cache` by path and stamp (size, modification time), so that only new and changed files are
    read; a zip is read once until its own size or time changes.

    Raises:
        DataError: a file cannot be read.
    """
    memory = cache / "hashes" / f"{hashlib.sha256(str(files.location).encode()).hexdigest()[:16]}.json"
    known = _recall(memory)
    digests: dict[str, tuple[Stamp, str]] = {}
    for done, (name, stamp) in enumerate(files.stamps.items(), start=1):
        remembered = known.get(name)
        if remembered is not None and remembered[0] == stamp:
            digests[name] = remembered
            continue
        digests[name] = (stamp, sha256_of(files, name))
        if progress is not None:
            progress(done, len(files.stamps), f"hashing {files.location.name}")
    if digests != known:
        _remember(memory, digests)
    return content_revision((name, stamp[0], digest) for name, (stamp, digest) in digests.items())


def sha256_of(files: Files, name: str) -> str:
    """Reads one file and returns the SHA-256 of its bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with files.open(name) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    except DAMAGED as error:
        raise DataError(f"{files.location}: '{name}' cannot be read ({error}); replace or remove it") from error


def _recall(memory: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        content: Any = json.loads(memory.read_bytes())
        return {name: (tuple(stamp), str(digest)) for name, (stamp, digest) in content.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        _log.warning("%s is damaged (%s); every file of the dataset is hashed again", memory, error)
        return {}


def _remember(memory: Path, digests: Mapping[str, tuple[Stamp, str]]) -> None:
    temporary = memory.with_name(f".{memory.name}.{os.getpid()}")
    with storage_errors(memory.parent, remedy=CACHE_REMEDY):
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(digests, separators=(",", ":")))
        temporary.replace(memory)
