"""Opening a results folder: `schema.json` says that it is one, and of which version."""

import json
from pathlib import Path
from typing import Any

from trainables.errors import LedgerError
from trainables.ledger.schema import SCHEMA_VERSION
from trainables.ledger.store import LocalStore

KIND = "dml-study results"
_SCHEMA_KEY = "schema.json"


def open_folder(path: Path) -> LocalStore:
    """The store of an existing results folder.

    Raises:
        LedgerError: there is none, it is something else, or it was written with another schema version.
    """
    if not path.exists():
        raise LedgerError(f"there is no results folder {path}; `dml-study run` creates it")
    if not path.is_dir():
        raise LedgerError(f"{path} is a file, not a results folder; choose another results folder")
    store = LocalStore(path.resolve())
    if not store.exists(_SCHEMA_KEY):
        raise LedgerError(f"{path} is not a results folder: it has no {_SCHEMA_KEY}; choose another results folder")
    _check(path, _content(store))
    return store


def create_folder(path: Path) -> LocalStore:
    """The store of a results folder, which is created where nothing or an empty folder stands.

    Raises:
        LedgerError: something else stands there, or the folder cannot be created.
    """
    if path.is_dir() and not (path / _SCHEMA_KEY).exists():
        foreign = sorted(item.name for item in path.iterdir() if not item.name.startswith("."))
        if foreign:
            raise LedgerError(
                f"{path} is not a results folder: it has no {_SCHEMA_KEY} but other files ({foreign[0]}, ...); "
                "choose an empty or a new folder"
            )
    if not path.exists() or (path.is_dir() and not (path / _SCHEMA_KEY).exists()):
        content = {"schema_version": SCHEMA_VERSION, "kind": KIND}
        LocalStore(path.resolve()).put(_SCHEMA_KEY, json.dumps(content).encode())
    return open_folder(path)


def _content(store: LocalStore) -> dict[str, Any]:
    try:
        content = json.loads(store.get(_SCHEMA_KEY))
    except ValueError as error:
        raise LedgerError(f"{store.location}/{_SCHEMA_KEY} is damaged ({error}); restore it from a copy") from error
    return content if isinstance(content, dict) else {}


def _check(path: Path, content: dict[str, Any]) -> None:
    if content.get("kind") != KIND:
        raise LedgerError(f"{path} is not a results folder: its {_SCHEMA_KEY} belongs to something else")
    found = content.get("schema_version")
    if found != SCHEMA_VERSION:
        raise LedgerError(
            f"results folder {path} has schema version {found}, this program expects {SCHEMA_VERSION}; "
            "use the version of dml-study that wrote it, or choose another results folder"
        )
