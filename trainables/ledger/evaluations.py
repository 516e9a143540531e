"""Metrics that finished attempts got afterwards. Commits never change: these stand beside them.

A part file holds what one evaluation added to one attempt and is named by both, so that storing it again replaces it
by itself. Parts are only added, by whoever evaluates, also beside a driver. Compaction may leave rows twice: of equal
metrics the oldest counts.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from trainables.ledger.errors import MissingKeyError
from trainables.ledger.names import Commit, require_names
from trainables.ledger.places import keyed
from trainables.ledger.reading import retried
from trainables.ledger.schema import arrow_schema
from trainables.ledger.store import Store
from trainables.ledger.tables import Row, from_parquet, to_parquet, to_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["compact", "copy", "exist", "forget", "known", "read", "record"]

FOLDER = "evaluations/"
_COMPACTED = FOLDER + "compacted-"
_NAME = re.compile(r"([0-9a-f]{16}\.\d{4,}_\d{2,}\.|compacted-)[0-9a-f]{16}\.parquet")

Attempt = tuple[str, str]
"""run_id and attempt."""


def record(store: Store, row: Row) -> None:
    """Stores metrics of a committed attempt, whole or not at all.

    Args:
        store: the ledger, or its store.
        row: columns of table `evaluations`; `extra` has the metrics by the column that readers find them in.
            `evaluated_at` is now by default.
    """
    require_names(row["run_id"], row["attempt"])
    name = f"{row['run_id']}.{row['attempt']}.{_digest(sorted(row['extra']))}.parquet"
    _put(store, FOLDER + name, [{"evaluated_at": datetime.now(UTC), **row}])


def read(store: Store) -> "pa.Table":
    """All rows, oldest first; those of attempts that do not count, and some twice, may be among them.

    Raises:
        LedgerError: a part file is damaged or of another version; the message names it and the remedy.
    """
    import pyarrow as pa

    parts = retried(store, partial(_parts, store)).values()
    rows = pa.concat_tables([arrow_schema("evaluations").empty_table(), *parts])
    return rows.sort_by([("evaluated_at", "ascending"), ("run_id", "ascending")])


def exist(store: Store) -> bool:
    """Whether any run was evaluated; loads no pyarrow."""
    return bool(_keys(store))


def known(store: Store) -> dict[Attempt, dict[str, float]]:
    """Metrics of every attempt that was evaluated, by column."""
    found: dict[Attempt, dict[str, float]] = {}
    for row in read(store).to_pylist():
        found[row["run_id"], row["attempt"]] = {**dict(row["extra"]), **found.get((row["run_id"], row["attempt"]), {})}
    return found


def compact(store: Store, *, minimum_parts: int = 100) -> int:
    """Joins all files into one where there are at least `minimum_parts`; returns how many.

    The new file first: a kill in between leaves rows twice, which changes nothing.
    """
    if len(_keys(store)) < minimum_parts:
        return 0
    parts = retried(store, partial(_parts, store))
    target = f"{_COMPACTED}{_digest(sorted(parts))}.parquet"
    _put(store, target, _distinct(row for part in parts.values() for row in part.to_pylist()))
    for key in parts.keys() - {target}:
        store.delete(key)
    return len(parts)


def copy(target: Store, source: Store, commits: Mapping[Attempt, Commit]) -> None:
    """Takes over the metrics of attempts that get another ledger's rows, under the names that they get there."""
    for row in read(source).to_pylist() if commits else ():
        if commit := commits.get((row["run_id"], row["attempt"])):
            record(target, {**row, "attempt": commit.attempt, "extra": dict(row["extra"])})


def forget(store: Store, run_ids: Collection[str]) -> None:
    """Moves the rows of runs aside."""
    parts = retried(store, partial(_parts, store))
    rows = {key: part.to_pylist() for key, part in parts.items()}
    taken = {key: [row for row in found if row["run_id"] in run_ids] for key, found in rows.items()}
    touched = [key for key, found in taken.items() if found]
    if not touched:
        return
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    _put(store, f"forgotten/evaluations-{moment}.parquet", _distinct(row for key in touched for row in taken[key]))
    rest = _distinct(row for key in touched for row in rows[key] if row["run_id"] not in run_ids)
    if rest:
        _put(store, f"{_COMPACTED}{_digest([*sorted(touched), *sorted(run_ids)])}.parquet", rest)
    for key in touched:
        store.delete(key)


def _parts(store: Store) -> dict[str, "pa.Table"]:
    """
    Raises:
        MissingKeyError: files were compacted meanwhile.
    """
    keys = _keys(store)
    parts = {key: from_parquet("evaluations", store.get(key), key=keyed(store.location, key)) for key in keys}
    # A file that vanished during the first listing is in a compacted one that a second listing shows.
    if any(key.startswith(_COMPACTED) and key not in parts for key in _keys(store)):
        raise MissingKeyError(f"{FOLDER} of {store.location} was compacted while it was listed")
    return parts


def _keys(store: Store) -> list[str]:
    return [key for key in store.list(FOLDER) if _NAME.fullmatch(key.removeprefix(FOLDER))]


def _put(store: Store, key: str, rows: list[Row]) -> None:
    store.put(key, to_parquet("evaluations", to_table("evaluations", rows)))


def _distinct(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Each evaluation of an attempt once, the oldest; in an order that does not depend on the files."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda row: (row["evaluated_at"], row["run_id"], row["attempt"])):
        metrics = dict(row["extra"])
        found.setdefault((row["run_id"], row["attempt"], *sorted(metrics)), {**row, "extra": metrics})
    return list(found.values())


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]
