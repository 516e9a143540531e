"""Files and folders that an export writes: whole or not at all, and never in the place of something else."""

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.errors import ConfigError

Owner = Callable[[Path], str | None]
"""The study whose export stands at a path; None where it is something else."""

_MARKER = ".dml-study-export.json"
_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|]')
_LONGEST = 180
"""Bytes of a file name; file systems take 255, and tools append to it."""


@contextmanager
def replacing(target: Path, *, study: str, owner: Owner) -> Iterator[Path]:
    """A new path on the same file system; what is written there takes the target's place at the end.

    Raises:
        ConfigError: at the target stands something else than an export of this study, or it cannot be written.
    """
    try:
        _check(target, study, owner)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as scratch:
            new = Path(scratch) / "new"
            yield new
            if target.is_dir():
                target.rename(Path(scratch) / "old")
            new.replace(target)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror or error}; choose another --to") from error


@contextmanager
def replacing_folder(target: Path, *, study: str) -> Iterator[Path]:
    """The same for a folder, which exists and has a file that says whose export it is."""
    with replacing(target, study=study, owner=_folder_owner) as new:
        new.mkdir()
        (new / _MARKER).write_text(json.dumps({"study": study}, ensure_ascii=False), encoding="utf-8")
        yield new


def _check(target: Path, study: str, owner: Owner) -> None:
    if not target.exists() or _is_empty(target):
        return
    found = owner(target)
    if found is None:
        raise ConfigError(f"{target} is not an export of dml-study and stays as it is; choose another --to")
    if found != study:
        raise ConfigError(f"{target} is the export of study '{found}'; choose another --to for study '{study}'")


def _is_empty(target: Path) -> bool:
    return not any(target.iterdir()) if target.is_dir() else target.stat().st_size == 0


def _folder_owner(folder: Path) -> str | None:
    try:
        found = json.loads((folder / _MARKER).read_text(encoding="utf-8"))["study"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(found)


def file_name(text: str) -> str:
    """A text as one part of a path: what no file system takes is `_`, and it is not too long."""
    safe = _UNSAFE.sub("_", text).strip(". ") or "_"
    return safe.encode()[:_LONGEST].decode(errors="ignore")


def distinct(names: Iterable[str]) -> list[str]:
    """The same names; what comes again, in whatever case, gets a number."""
    taken: set[str] = set()
    result = []
    for name in names:
        number, unique = 1, name
        while unique.casefold() in taken:
            number += 1
            unique = f"{name} ({number})"
        taken.add(unique.casefold())
        result.append(unique)
    return result
