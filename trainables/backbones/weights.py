"""Finds the weights file of a backbone and names its content. Free of torch: planning uses it."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from trainables.backbones.config import BackboneConfig
from trainables.datasets.storage import CACHE_REMEDY, storage_errors
from trainables.errors import DataError

_DIGITS = 16
_REVISIONS = "weights.json"


def resolve(config: BackboneConfig, *, search: Sequence[Path], cache: Path) -> BackboneConfig:
    """The same backbone with an absolute `weights` path and the `weights_revision` of that file.

    Args:
        config: unchanged where it names no weights.
        search: folders that a relative path is looked up in, before torch's hub cache; the first hit counts.
        cache: folder that remembers revisions by path, size and modification time.

    Raises:
        DataError: the file is nowhere, or its content is not the one that `weights_revision` names already.
    """
    if config.weights is None:
        if config.weights_revision:
            raise DataError(
                f"backbone.weights_revision is {config.weights_revision}, but backbone.weights names no file"
            )
        return config
    path = _find(config, [*search, hub_cache()])
    revision = remembered_revision(path, cache)
    _require_revision(config, path, revision)
    return config.model_copy(update={"weights": str(path), "weights_revision": revision})


def hub_cache() -> Path:
    """The folder that torch.hub downloads weights to, and torchvision with it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = Path(os.environ.get("TORCH_HOME") or cache / "torch")
    return home.expanduser() / "hub" / "checkpoints"


def check_revision(config: BackboneConfig) -> None:
    """Refuses a weights file that is not the one the run was planned with.

    Raises:
        DataError: the file is missing or has other content than `weights_revision` says.
    """
    if config.weights is not None and config.weights_revision:
        path = _find(config, ())
        _require_revision(config, path, file_revision(path))


def file_revision(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def _find(config: BackboneConfig, search: Sequence[Path]) -> Path:
    named = Path(str(config.weights)).expanduser()
    candidates = [named] if named.is_absolute() else [folder / named for folder in search]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    places = ", ".join(str(candidate) for candidate in candidates) or "no folder (the path is relative)"
    raise DataError(f"backbone.weights: no file '{config.weights}'; looked for {places}. {_remedy(config, named.name)}")


def _remedy(config: BackboneConfig, file: str) -> str:
    random = "Leave backbone.weights out to start from random weights"
    source = config.weights_source(file)
    return f"{random}; for ImageNet weights, {source}" if source else f"{random}."


def _require_revision(config: BackboneConfig, path: Path, revision: str) -> None:
    if config.weights_revision not in ("", revision):
        raise DataError(
            f"weights file {path} has the revision {revision}, but backbone.weights_revision is "
            f"{config.weights_revision}: put the old file back, or plan again without backbone.weights_revision"
        )


def remembered_revision(path: Path, cache: Path) -> str:
    """`file_revision`, worked out once for each size and modification time of the file."""
    status = path.stat()
    stamp = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    known = _read(cache / _REVISIONS)
    entry = known.get(str(path), {})
    if {key: entry.get(key) for key in stamp} == stamp:
        return str(entry["revision"])
    revision = file_revision(path)
    _write(cache / _REVISIONS, known | {str(path): {**stamp, "revision": revision}})
    return revision


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # absent or damaged: it can be made again
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    with storage_errors(path.parent, remedy=CACHE_REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
