"""Taking runs out of the ledger: they are due again and count no more. For the driver of a folder only."""

from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial

from trainables.ledger import evaluations
from trainables.ledger.catalog import Catalog, Folder
from trainables.ledger.compaction import rewrite
from trainables.ledger.names import TABLES, Commit, Table
from trainables.ledger.reading import retried, rows_of
from trainables.ledger.schema import COLUMNS
from trainables.ledger.store import Store
from trainables.ledger.tables import to_parquet


def forget(store: Store, catalog: Catalog, run_ids: Collection[str]) -> None:
    """Deletes the rows of runs, their commits first: a kill in between leaves rows that no commit claims."""
    commits = [commit for commit in catalog.all_commits() if commit.run_id in run_ids]
    if not commits:
        return
    _keep_aside(store, catalog, commits)
    for table in TABLES:  # `runs` comes first
        retried(store, partial(_forget_rows, store, catalog, table, commits))
    evaluations.forget(store, run_ids)


def _keep_aside(store: Store, catalog: Catalog, commits: Collection[Commit]) -> None:
    """All rows go to a folder that nothing reads: what was measured is never destroyed."""
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    for table in TABLES:
        columns = list(COLUMNS[table])
        rows = retried(store, partial(rows_of, store, catalog, table, commits, columns=columns)).select(columns)
        if len(rows):
            store.put(f"forgotten/{table}-{moment}.parquet", to_parquet(table, rows))


def _forget_rows(store: Store, catalog: Catalog, table: Table, commits: Collection[Commit]) -> int:
    names = {commit.row_name(table) for commit in commits}
    folder = catalog.folder(table)
    for compacted in _holding(folder, names):
        rewrite(store, catalog, catalog.folder(table), [compacted], without=names)
    for name in names.intersection(catalog.folder(table).loose):
        store.delete(f"{table}/{name}")
    return len(names)


def _holding(folder: Folder, names: Collection[str]) -> list[str]:
    return [compacted for compacted, index in folder.indexes.items() if set(names) & set(index.sources)]
