"""Tables as they count: one commit per run, and only the rows that belong to it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from trainables.errors import LedgerError
from trainables.ledger.catalog import Catalog
from trainables.ledger.errors import MissingKeyError
from trainables.ledger.names import TABLES, Commit, Table
from trainables.ledger.places import keyed
from trainables.ledger.schema import COLUMNS, arrow_schema
from trainables.ledger.store import Store
from trainables.ledger.tables import from_parquet
from trainables.spelling import nearest

if TYPE_CHECKING:
    import pyarrow as pa

_PATIENCE = 20
_Result = TypeVar("_Result")


def read(
    store: Store,
    catalog: Catalog,
    table: Table,
    *,
    columns: Sequence[str] | None = None,
    run_ids: Collection[str] | None = None,
) -> "pa.Table":
    """The rows of every run's counting commit; see `Ledger.read`."""
    wanted = _known_columns(table, columns)

    def rows() -> "pa.Table":
        # Commits first: whatever is committed at this moment has its other rows written already.
        commits = [commit for commit in catalog.commits().values() if run_ids is None or commit.run_id in run_ids]
        return rows_of(store, catalog, table, commits, columns=wanted).select(wanted)

    return retried(store, rows)


def retried(store: Store, action: Callable[[], _Result]) -> _Result:
    """Repeats an action whose files were compacted away between listing and reading."""
    for _ in range(_PATIENCE):
        try:
            return action()
        except MissingKeyError as error:
            vanished = error
    raise LedgerError(f"files of {store.location} keep vanishing while they are read: {vanished}") from vanished


def rows_of(
    store: Store, catalog: Catalog, table: Table, commits: Iterable[Commit], *, columns: Sequence[str]
) -> "pa.Table":
    """Rows of the given commits, `columns` and those that tell attempts apart."""
    import pyarrow as pa

    files = catalog.folder(table).files(commit.row_name(table) for commit in commits)
    needed = list(dict.fromkeys([*columns, *_identity(table)]))
    empty = arrow_schema(table).empty_table().select(needed)
    read_file = partial(rows_in, store, catalog, table, columns=needed)
    return pa.concat_tables([empty, *(read_file(file=file, parts=parts) for file, parts in files.items())])


def rows_in(
    store: Store, catalog: Catalog, table: Table, *, file: str, parts: Collection[str], columns: Sequence[str]
) -> "pa.Table":
    """The rows of some parts in the file that holds them."""
    key = f"{table}/{file}"
    content = from_parquet(table, store.get(key), key=keyed(store.location, key), columns=columns)
    sources = catalog.sources(table, file)
    return content if len(parts) == len(sources) else _only(table, content, parts)


def _only(table: Table, content: "pa.Table", parts: Collection[str]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    names = pc.binary_join_element_wise(*(content.column(name) for name in _identity(table)), ".")
    stems = pa.array([part.removesuffix(".parquet") for part in parts], pa.string())
    return content.filter(pc.is_in(names, value_set=stems))


def _identity(table: Table) -> list[str]:
    return ["run_id", "attempt", "status"] if table == "runs" else ["run_id", "attempt"]


def _known_columns(table: Table, columns: Sequence[str] | None) -> list[str]:
    if table not in TABLES:
        raise LedgerError(f"the ledger has no table '{table}'; {nearest(table, list(TABLES))}")
    for column in columns or ():
        if column not in COLUMNS[table]:
            raise LedgerError(f"table '{table}' has no column '{column}'; {nearest(column, list(COLUMNS[table]))}")
    return list(COLUMNS[table]) if columns is None else list(columns)
