"""Which rows stand in which file, from names alone: part files, and the index beside each compacted file."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain
from typing import TypeVar

from trainables.errors import LedgerError
from trainables.ledger.errors import MissingKeyError
from trainables.ledger.names import Commit, Table, is_part, parse_commit, resolve
from trainables.ledger.places import keyed
from trainables.ledger.store import Store

_COMPACTED, _INDEX = "compacted-", "_compacted-"
_PATIENCE = 20
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Index:
    """What one compacted file replaces.

    Attributes:
        sources: names of the part files whose rows it holds.
        absorbed: names of the older compacted files whose rows it holds.
    """

    sources: tuple[str, ...]
    absorbed: tuple[str, ...] = ()

    @cached_property
    def by_run(self) -> Mapping[str, tuple[str, ...]]:
        """The sources of each run."""
        result: dict[str, tuple[str, ...]] = {}
        for name in self.sources:
            run_id = name.partition(".")[0]
            result[run_id] = (*result.get(run_id, ()), name)
        return result

    def file_name(self) -> str:
        """Name of the compacted file: equal sources, equal name."""
        return f"{_COMPACTED}{hashlib.sha256(' '.join(self.sources).encode()).hexdigest()[:16]}.parquet"

    def to_json(self) -> str:
        """Text of the index file, which also stands in the compacted file's metadata."""
        return json.dumps({"sources": self.sources, "absorbed": self.absorbed})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Index":
        """Raises ValueError, KeyError or TypeError for anything that `to_json` did not write."""
        content = json.loads(text)
        return cls(tuple(content["sources"]), tuple(content["absorbed"]))


@dataclass(frozen=True)
class Folder:
    """One listing of a table's folder.

    Attributes:
        holders: for every part name, the file that holds its rows: itself or a compacted file.
        indexes: the index of every compacted file that counts.
        superseded: files that are still there although a compacted file holds their rows.
        orphans: indexes without their compacted file.
    """

    table: Table
    holders: Mapping[str, str]
    indexes: Mapping[str, Index]
    superseded: tuple[str, ...]
    orphans: tuple[str, ...]

    @property
    def loose(self) -> list[str]:
        """Part files that no compacted file holds."""
        return [name for name, holder in self.holders.items() if name == holder]

    def files(self, names: Iterable[str]) -> dict[str, set[str]]:
        """The files to read for these parts, each with the parts to take from it."""
        result: dict[str, set[str]] = {}
        for name in names:
            if name in self.holders:
                result.setdefault(self.holders[name], set()).add(name)
        return result


def is_compacted(name: str) -> bool:
    """Whether a file name is that of a compacted file."""
    return name.startswith(_COMPACTED) and name.endswith(".parquet")


def index_name(compacted: str) -> str:
    """Name of the index file of a compacted file."""
    return "_" + compacted.removesuffix(".parquet") + ".json"


class Catalog:
    """Lists the tables' folders and remembers the indexes that it read: their names state their content."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._indexes: dict[tuple[Table, str], Index] = {}

    def commits(self) -> dict[str, Commit]:
        """The commit that counts for each run."""
        return resolve(self.all_commits())

    def all_commits(self) -> list[Commit]:
        """Every commit, superseded ones too."""
        commits = (parse_commit(name) for name in self.folder("runs").holders)
        return [commit for commit in commits if commit is not None]

    def commits_of(self, run_id: str) -> list[Commit]:
        """Every commit of one run, at the price of a listing: the names of other runs are not looked into."""
        return self._settled("runs", partial(self._commits_among, run_id), f"{run_id}.", _COMPACTED)

    def _commits_among(self, run_id: str, names: list[str]) -> list[Commit]:
        held = (index.by_run.get(run_id, ()) for index in self._counting("runs", names).values())
        loose = (name for name in names if not is_compacted(name))
        commits = map(parse_commit, sorted({*chain.from_iterable(held), *loose}))
        return [commit for commit in commits if commit is not None]

    def folder(self, table: Table) -> Folder:
        """A consistent view of one table's folder.

        Raises:
            LedgerError: the folder kept changing under the eyes of the reader.
        """
        return self._settled(table, partial(self._view, table))

    def _settled(self, table: Table, view: Callable[[list[str]], _Result], *starts: str) -> _Result:
        """What `view` makes of the names in a folder, or of those that begin with one of `starts`."""
        for _ in range(_PATIENCE):
            names, settled = self._names(table, *starts), self._names(table, _COMPACTED)
            # A part that vanished during the first listing is in a compacted file that the second one shows.
            if _compacted(names) == _compacted(settled):
                try:
                    return view(names)
                except MissingKeyError:
                    continue  # another process just absorbed that compacted file
        raise LedgerError(f"{self._store.location}/{table} keeps changing; is it compacted by several processes?")

    def sources(self, table: Table, file: str) -> tuple[str, ...]:
        """The parts whose rows stand in a file."""
        return self._index(table, file).sources if is_compacted(file) else (file,)

    def _names(self, table: Table, *starts: str) -> list[str]:
        skipped = len(table) + 1
        return [key[skipped:] for key in self._store.list(*(f"{table}/{start}" for start in starts or ("",)))]

    def _counting(self, table: Table, names: list[str]) -> dict[str, Index]:
        """The index of every compacted file that no other one has absorbed."""
        indexes = {name: self._index(table, name) for name in _compacted(names)}
        absorbed = {name for index in indexes.values() for name in index.absorbed}
        return {name: index for name, index in indexes.items() if name not in absorbed}

    def _view(self, table: Table, names: list[str]) -> Folder:
        counting, compacted = self._counting(table, names), _compacted(names)
        holders = {source: name for name, index in counting.items() for source in index.sources}
        parts = [name for name in names if is_part(table, name)]
        superseded = [name for name in parts if name in holders]
        superseded += [name for name in compacted if name not in counting]
        holders.update({name: name for name in parts if name not in holders})
        wanted = {index_name(name) for name in compacted}
        orphans = [name for name in names if name.startswith(_INDEX) and name not in wanted]
        return Folder(table, holders, counting, tuple(superseded), tuple(sorted(orphans)))

    def _index(self, table: Table, name: str) -> Index:
        if (table, name) not in self._indexes:
            self._indexes[table, name] = self._read_index(table, name)
        return self._indexes[table, name]

    def _read_index(self, table: Table, name: str) -> Index:
        key = f"{table}/{index_name(name)}"
        if not self._store.exists(key):
            return self._embedded_index(table, name)
        try:
            return _parsed(self._store.get(key))
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(
                f"{keyed(self._store.location, key)} is damaged; delete it: it is read from {name} instead"
            ) from error

    def _embedded_index(self, table: Table, name: str) -> Index:
        from trainables.ledger.tables import metadata_of

        key = f"{table}/{name}"
        text = metadata_of(table, self._store.get(key), key=keyed(self._store.location, key), field="index")
        if text is None:
            raise LedgerError(
                f"{keyed(self._store.location, key)} has no index: dml-study did not write it; move it away"
            )
        return Index.from_json(text)


@lru_cache(maxsize=16)
def _parsed(text: bytes) -> Index:
    """A worker opens the ledger for every run, and every time finds the same few indexes of thousands of names."""
    return Index.from_json(text)


def _compacted(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if is_compacted(name))
