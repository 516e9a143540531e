"""Copying committed runs from a sibling results folder, so that nothing is trained twice."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from trainables.errors import LedgerError
from trainables.ledger import evaluations
from trainables.ledger.catalog import Catalog
from trainables.ledger.live import next_attempt, traces
from trainables.ledger.names import KEPT_KEYS, TABLES, Commit
from trainables.ledger.reading import retried, rows_of
from trainables.ledger.schema import COLUMNS
from trainables.ledger.store import Store
from trainables.ledger.tables import to_parquet

if TYPE_CHECKING:
    import pyarrow as pa

Place = tuple[Store, Catalog]


def adopt(target: Place, source: Place, run_ids: Sequence[str], *, origin: str | None = None) -> list[str]:
    """Copies runs; see `Ledger.adopt`. Returns those that were not complete here already."""
    have, offered, location = target[1].commits(), source[1].commits(), source[0].location
    wanted = [_complete(offered, run_id, location) for run_id in dict.fromkeys(run_ids)]
    missing = [commit for commit in wanted if commit.run_id not in have or have[commit.run_id].status != "complete"]
    taken = traces(*target)
    for commit in missing:
        _copy_kept(target[0], source[0], commit.run_id)
    copies = {commit.run_id: _copied(commit, taken.get(commit.run_id, set())) for commit in missing}
    renamed = {(commit.run_id, commit.attempt): copies[commit.run_id] for commit in missing}
    evaluations.copy(target[0], source[0], renamed)
    for table in reversed(TABLES):  # `runs` last: it is the commit
        content = retried(source[0], partial(rows_of, *source, table, missing, columns=list(COLUMNS[table])))
        for run_id, rows in _by_run(content):
            name = copies[run_id].row_name(table)
            target[0].put(f"{table}/{name}", to_parquet(table, _relabeled(rows, copies[run_id], origin or location)))
    return list(copies)


def _copy_kept(target: Store, source: Store, run_id: str) -> None:
    """Weights and embeddings, where the run kept them: other runs may need them."""
    for place in KEPT_KEYS.values():
        key = place(run_id)
        if source.exists(key):
            target.put(key, source.get(key))


def _complete(offered: dict[str, Commit], run_id: str, location: str) -> Commit:
    commit = offered.get(run_id)
    if commit is None or commit.status != "complete":
        found = commit.status if commit else "not committed"
        raise LedgerError(f"run {run_id} of {location} is {found}: only a complete run can be adopted")
    return commit


def _copied(commit: Commit, taken: Collection[str]) -> Commit:
    """The commit under its own attempt, or the next free one where an attempt of that name left a trace here."""
    if commit.attempt not in taken:
        return commit
    generation = int(commit.attempt.partition("_")[0])
    return Commit(commit.run_id, next_attempt(taken, generation), commit.status)


def _by_run(content: "pa.Table") -> Iterator[tuple[str, "pa.Table"]]:
    """Slices of consecutive rows of one run; files keep the rows of an attempt together."""
    import pyarrow.compute as pc

    runs = pc.run_end_encode(content.column("run_id").combine_chunks())
    start = 0
    for run_id, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield run_id, content.slice(start, end - start)
        start = end


def _relabeled(rows: "pa.Table", commit: Commit, origin: str) -> "pa.Table":
    import pyarrow as pa

    for name, value in (("attempt", commit.attempt), ("origin", origin)):
        if name in rows.column_names:
            index = rows.column_names.index(name)
            rows = rows.set_column(index, rows.schema.field(name), pa.repeat(value, len(rows)))
    return rows
