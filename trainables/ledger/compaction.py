"""Many part files into few. Index first; the compacted file is the moment of compaction; sources are deleted last."""

from collections.abc import Collection, Mapping
from functools import partial

from trainables.ledger.catalog import Catalog, Folder, Index, index_name, is_compacted
from trainables.ledger.names import TABLES, Commit, Table, attempt_order, parse_part, resolve
from trainables.ledger.reading import retried, rows_in
from trainables.ledger.schema import COLUMNS, arrow_schema
from trainables.ledger.store import Store
from trainables.ledger.tables import to_parquet


def compact(store: Store, catalog: Catalog, *, minimum_parts: int) -> int:
    """Compacts every table that has enough part files; see `Ledger.compact`."""
    compacted = 0
    for table in TABLES:
        compacted += retried(store, partial(_compact_table, store, catalog, table, minimum_parts))
    return compacted


def _compact_table(store: Store, catalog: Catalog, table: Table, minimum_parts: int) -> int:
    commits = catalog.all_commits()
    _finish_interrupted(store, catalog.folder(table))
    if table != "runs":
        _delete_losers(store, catalog.folder(table), commits)
    folder = catalog.folder(table)
    loose = sorted({commit.row_name(table) for commit in commits}.intersection(folder.loose))
    if len(loose) < max(minimum_parts, 1):
        return 0
    rewrite(store, catalog, folder, [*loose, *_small_enough(folder.indexes, len(loose))])
    return len(loose)


def _finish_interrupted(store: Store, folder: Folder) -> None:
    """Deletes what a compaction replaced; an earlier one may not have got round to it."""
    for name in (*folder.superseded, *folder.orphans):
        store.delete(f"{folder.table}/{name}")
        if is_compacted(name):
            store.delete(f"{folder.table}/{index_name(name)}")


def _delete_losers(store: Store, folder: Folder, commits: Collection[Commit]) -> None:
    """Deletes rows of attempts that are not committed and could not win if they were.

    Older attempts stay: were one committed late, it would win, and need its rows.
    """
    committed, winners = {commit.part for commit in commits}, resolve(commits)
    for name in folder.loose:
        if name not in committed and _cannot_win(name, winners):
            store.delete(f"{folder.table}/{name}")


def _cannot_win(name: str, winners: Mapping[str, Commit]) -> bool:
    parsed = parse_part(name)
    winner = winners.get(parsed[0]) if parsed else None
    if parsed is None or winner is None or winner.status != "complete":
        return False
    return attempt_order(parsed[1]) > attempt_order(winner.attempt)


def _small_enough(indexes: Mapping[str, Index], parts: int) -> list[str]:
    """Older compacted files to take in: those that at most double the work, so that a row is rewritten log(n) times."""
    chosen: list[str] = []
    for name, index in sorted(indexes.items(), key=lambda item: (len(item[1].sources), item[0])):
        if len(index.sources) > parts:
            break
        chosen.append(name)
        parts += len(index.sources)
    return chosen


def rewrite(
    store: Store, catalog: Catalog, folder: Folder, files: Collection[str], *, without: Collection[str] = ()
) -> None:
    """Joins files of a table, part files or compacted ones, into a new compacted file that replaces them.

    Args:
        without: names of part files whose rows are left out, and are gone then.
    """
    import pyarrow as pa

    table, columns = folder.table, list(COLUMNS[folder.table])
    chosen = set(files)
    kept = (name for name, holder in folder.holders.items() if holder in chosen and name not in without)
    taken = folder.files(kept)
    read_file = partial(rows_in, store, catalog, table, columns=columns)
    empty = arrow_schema(table).empty_table().select(columns)
    content = pa.concat_tables([empty, *(read_file(file=file, parts=taken[file]) for file in sorted(taken))])
    index = Index(tuple(sorted(set().union(*taken.values()))), _absorbed(folder, chosen))
    name = index.file_name()
    store.put(f"{table}/{index_name(name)}", index.to_json().encode())
    store.put(f"{table}/{name}", to_parquet(table, content, metadata={"index": index.to_json()}))
    _finish_interrupted(store, catalog.folder(table))


def _absorbed(folder: Folder, files: Collection[str]) -> tuple[str, ...]:
    names = {name for name in files if name in folder.indexes}
    return tuple(sorted(names.union(*(folder.indexes[name].absorbed for name in names))))
