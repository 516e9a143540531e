"""Opening a results folder: `schema.json` says that it is one, and of which version."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.errors import LedgerError
from trainables.ledger.patience import Patience
from trainables.ledger.places import Place, inside, keyed, parent
from trainables.ledger.schema import SCHEMA_VERSION
from trainables.ledger.store import LocalStore, Store

if TYPE_CHECKING:
    from trainables.ledger.object_store import ObjectStore

KIND = "dml-study results"
_SCHEMA_KEY = "schema.json"
_JUNK = ("desktop.ini", "Thumbs.db", "lost+found")
"""What operating systems leave in folders of their own accord."""


def open_folder(place: Place) -> Store:
    """The store of an existing results folder.

    Raises:
        LedgerError: there is none, it is something else, or it was written with another schema version.
    """
    store = _local(place) if isinstance(place, Path) else _remote(place)
    if not store.exists(_SCHEMA_KEY):
        raise LedgerError(f"{place} is not a results folder: it has no {_SCHEMA_KEY}; choose another results folder")
    _check(place, _content(store))
    return _known(place) if isinstance(place, Path) else store


def create_folder(place: Place) -> Store:
    """The store of a results folder, which is created where nothing or an empty folder stands.

    Raises:
        LedgerError: something else stands there, or the folder cannot be created.
    """
    if isinstance(place, Path):
        if not place.exists() or (place.is_dir() and not (place / _SCHEMA_KEY).exists()):
            _begin(LocalStore(place.resolve()), place, sorted(_names(place)))
    else:
        store = _object_store(place)
        if not store.exists(_SCHEMA_KEY):
            _begin(store, place, store.names())
    return open_folder(place)


def reopen_folder(place: Place) -> Store:
    """The store of a folder that another process has opened: it is not looked at, and waited for while it is away.

    Raises:
        LedgerError: the address is none that pyarrow understands.
    """
    return _known(place) if isinstance(place, Path) else _object_store(place, answered=True)


def has_results(place: Place) -> bool:
    """Whether a results folder stands at a place, of whatever version; none where nobody may look.

    Raises:
        LedgerError: the object store of an address does not answer.
    """
    if isinstance(place, Path):
        try:
            return (place / _SCHEMA_KEY).is_file()
        except PermissionError:
            return False
    return _object_store(place).exists(_SCHEMA_KEY)


def results_beside(place: Place) -> list[Place]:
    """The other results folders in the folder or bucket that holds this one.

    Raises:
        LedgerError: the object store of an address does not list them.
    """
    if isinstance(place, Path):
        found: list[Place] = [*sorted(_siblings(place))]
    else:
        above = parent(place)
        found = [inside(above, name) for name in _object_store(above).names()] if above else []
    return [other for other in found if other != place and has_results(other)]


def _siblings(path: Path) -> list[Path]:
    try:
        return list(path.parent.iterdir())
    except PermissionError:  # a folder of one's own in a folder of others
        return []


def _local(path: Path) -> Store:
    if not path.exists():
        raise LedgerError(f"there is no results folder {path}; `dml-study run` creates it")
    if not path.is_dir():
        raise LedgerError(f"{path} is a file, not a results folder; choose another results folder")
    return LocalStore(path)


def _known(path: Path) -> Store:
    return LocalStore(path.resolve(), marker=_SCHEMA_KEY, patience=Patience(str(path), answered=True))


def _remote(address: str) -> Store:
    store = _object_store(address)
    if not store.names():
        raise LedgerError(f"there is no results folder {address}; `dml-study run` creates it")
    return store


def _object_store(address: str, *, answered: bool = False) -> "ObjectStore":
    from trainables.ledger.object_store import ObjectStore

    return ObjectStore(address, patience=Patience(keyed(address, "").rstrip("/"), answered=answered))


def _names(path: Path) -> list[str]:
    return [item.name for item in path.iterdir()] if path.is_dir() else []


def _begin(store: Store, place: Place, names: list[str]) -> None:
    foreign = [name for name in names if not name.startswith(".") and name not in _JUNK]
    if foreign:
        raise LedgerError(
            f"{place} is not a results folder: it has no {_SCHEMA_KEY} but other files ({foreign[0]}, ...); "
            "choose an empty or a new folder"
        )
    store.put(_SCHEMA_KEY, json.dumps({"schema_version": SCHEMA_VERSION, "kind": KIND}).encode())


def _content(store: Store) -> dict[str, Any]:
    try:
        content = json.loads(store.get(_SCHEMA_KEY))
    except ValueError as error:
        raise LedgerError(
            f"{keyed(store.location, _SCHEMA_KEY)} is damaged ({error}); restore it from a copy"
        ) from error
    return content if isinstance(content, dict) else {}


def _check(path: Place, content: dict[str, Any]) -> None:
    if content.get("kind") != KIND:
        raise LedgerError(f"{path} is not a results folder: its {_SCHEMA_KEY} belongs to something else")
    found = content.get("schema_version")
    if found != SCHEMA_VERSION:
        raise LedgerError(
            f"results folder {path} has schema version {found}, this program expects {SCHEMA_VERSION}; "
            "use the version of dml-study that wrote it, or choose another results folder"
        )
