import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from ledger_tools import MemoryStore, commit_runs, resolved, run_name, run_row

from trainables.errors import LedgerError
from trainables.ledger import TABLES, Ledger
from trainables.ledger.store import LocalStore


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


def names(ledger: Ledger, table: str) -> list[str]:
    return [key.removeprefix(f"{table}/") for key in ledger.list(f"{table}/")]


def test_three_hundred_runs_become_one_file_per_table(ledger: Ledger) -> None:
    commit_runs(ledger, range(300))
    before, commits = resolved(ledger), ledger.commits()
    assert ledger.compact(minimum_parts=301) == 0
    assert len(ledger.list("runs/")) == 300
    assert ledger.compact() == 900
    for table in TABLES:
        index, data = names(ledger, table)
        assert index == f"_{data.removesuffix('.parquet')}.json" and data.startswith("compacted-")
    assert resolved(ledger) == before and ledger.commits() == commits
    assert len(before["epochs"]) == 600
    assert ledger.compact(minimum_parts=1) == 0
    assert resolved(Ledger.open(ledger.location)) == before


def test_index_comes_first_then_the_file_then_the_deletions() -> None:
    store = MemoryStore()
    ledger, steps = Ledger(store), []
    commit_runs(ledger, range(2))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(2, 4))
    (old,) = (key for key in ledger.list("runs/compacted-"))
    store.before = lambda kind, key: steps.append((kind, key)) if key.startswith("runs/") else None
    ledger.compact(minimum_parts=1)
    (new,) = (key for key in ledger.list("runs/compacted-"))
    indexes = [key.replace("/compacted", "/_compacted").replace(".parquet", ".json") for key in (old, new)]
    assert steps[:2] == [("put", indexes[1]), ("put", new)]
    assert {kind for kind, _ in steps[2:]} == {"delete"}
    deleted = [key for _, key in steps[2:]]
    assert {f"runs/{run_name(index)}.0001_01.complete.parquet" for index in (2, 3)} < set(deleted)
    assert deleted.index(old) < deleted.index(indexes[0])


def test_plain_tools_read_the_folder(ledger: Ledger) -> None:
    """Loose parts, compacted files, nulls, maps and times: what pandas, DuckDB and Polars make of them."""
    commit_runs(ledger, range(6))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(6, 10))
    ledger.commit(run_row(run_name(10), status="failed", error="boom", extra={"test_recall_at_2": 0.5}))
    folder = Path(ledger.location)
    files = sorted(str(path) for path in (folder / "runs").glob("*.parquet"))
    assert len(files) == 6
    for frame in (pd.read_parquet(folder / "runs"), pd.read_parquet(files)):
        assert sorted(frame["run_id"]) == [run_name(index) for index in range(11)]
    glob = f"{folder}/runs/*.parquet"
    joined = f"SELECT count(*), sum(train_loss) FROM '{folder}/epochs/*.parquet' JOIN '{glob}' USING (run_id, attempt)"
    expected = sum(index + epoch / 10 for index in range(10) for epoch in (1, 2))
    assert duckdb.sql(joined).fetchall() == [(20, pytest.approx(expected))]
    extra = duckdb.sql(f"SELECT extra['test_recall_at_2'] FROM '{glob}' WHERE status = 'failed'").fetchall()
    assert extra in ([(0.5,)], [([0.5],)])  # older versions answer with a list
    runs, epochs = pl.read_parquet(glob), pl.scan_parquet(f"{folder}/epochs/*.parquet")
    assert runs["run_id"].n_unique() == len(runs) == 11
    assert runs.schema["started_at"] == pl.Datetime("us", "UTC")
    assert epochs.select(pl.col("train_loss").sum()).collect().item() == pytest.approx(expected)


def test_older_compacted_files_are_absorbed_and_their_sources_kept(ledger: Ledger) -> None:
    for start, stop in ((0, 4), (4, 6), (6, 8)):  # 2 + 2 new ones absorb neither 4 nor each other at first
        commit_runs(ledger, range(start, stop))
        ledger.compact(minimum_parts=2)
    before = resolved(ledger)
    indexes = [name for name in names(ledger, "runs") if name.endswith(".json")]
    assert len(indexes) == 1 and len(names(ledger, "runs")) == 2
    content = json.loads(ledger.get(f"runs/{indexes[0]}"))
    assert content["sources"] == [f"{run_name(index)}.0001_01.complete.parquet" for index in range(8)]
    assert len(content["absorbed"]) == 2
    assert len(before["runs"]) == 8


def test_rows_are_rewritten_few_times(ledger: Ledger) -> None:
    store = MemoryStore()
    ledger, written = Ledger(store), []
    commit_runs(ledger, range(1), epochs=1)
    store.before = lambda kind, key: written.append(key) if kind == "put" and "epochs/_" in key else None
    for index in range(1, 33):
        commit_runs(ledger, range(index, index + 1), epochs=1)
        ledger.compact(minimum_parts=1)
    rewritten = sum(len(json.loads(store.objects[key])["sources"]) for key in written if key in store.objects)
    assert len(names(ledger, "epochs")) <= 2 * 7 and rewritten <= 33 * 6
    assert len(ledger.read("epochs")) == 33


def test_retried_runs_keep_their_history_and_count_once(ledger: Ledger) -> None:
    ledger.commit(run_row(run_name(0), "0001_01", "failed", error="boom"), epochs=[{"epoch": 1}])
    ledger.compact(minimum_parts=1)
    ledger.commit(run_row(run_name(0), "0002_01"), epochs=[{"epoch": 1}, {"epoch": 2}])
    for _ in range(2):
        assert ledger.read("runs", columns=["status"])["status"].to_pylist() == ["complete"]
        assert ledger.read("epochs", columns=["epoch"])["epoch"].to_pylist() == [1, 2]
        ledger.compact(minimum_parts=1)
    assert len(pd.read_parquet(Path(ledger.location) / "runs")) == 2


def put_epochs(ledger: Ledger, run_id: str, attempt: str) -> str:
    """Rows of an attempt that never got to its commit."""
    source = Ledger(MemoryStore())
    source.commit(run_row(run_id, attempt), epochs=[{"epoch": 1}])
    key = f"epochs/{run_id}.{attempt}.parquet"
    ledger.put(key, source.get(key))
    return key


def test_uncommitted_rows_of_decided_runs_go_and_of_open_runs_stay(ledger: Ledger) -> None:
    commit_runs(ledger, range(1), attempt="0002_01")
    ledger.commit(run_row(run_name(1), "0002_01", "failed"))
    hopeless = put_epochs(ledger, run_name(0), "0003_01")
    could_still_win = put_epochs(ledger, run_name(0), "0001_01")
    retried, unfinished = put_epochs(ledger, run_name(1), "0003_01"), put_epochs(ledger, run_name(2), "0001_01")
    ledger.compact(minimum_parts=1)
    assert not ledger.exists(hopeless)
    assert all(ledger.exists(key) for key in (could_still_win, retried, unfinished))
    assert len(ledger.read("epochs")) == 2


def test_index_counts_only_with_its_file(ledger: Ledger) -> None:
    commit_runs(ledger, range(3))
    other = Ledger(MemoryStore({key: ledger.get(key) for key in ledger.list("")}))
    other.compact(minimum_parts=1)
    index = next(key for key in other.list("runs/") if key.endswith(".json"))
    ledger.put(index, other.get(index))  # killed between the two writes
    assert len(ledger.commits()) == 3 == len(ledger.read("runs"))
    commit_runs(ledger, range(3, 4))
    ledger.compact(minimum_parts=1)
    assert not ledger.exists(index) and len(ledger.commits()) == 4 == len(ledger.read("runs"))


def test_sources_that_were_not_deleted_count_once(ledger: Ledger) -> None:
    commit_runs(ledger, range(3))
    sources = {key: ledger.get(key) for key in ledger.list("") if key != "schema.json"}
    before = resolved(ledger)
    ledger.compact(minimum_parts=1)
    for key, data in sources.items():
        ledger.put(key, data)
    assert resolved(ledger) == before
    ledger.compact(minimum_parts=1000)
    assert not any(ledger.exists(key) for key in sources)
    assert resolved(ledger) == before


def test_lost_index_is_read_from_the_compacted_file(ledger: Ledger) -> None:
    commit_runs(ledger, range(3))
    before = resolved(ledger)
    ledger.compact(minimum_parts=1)
    index = next(key for key in ledger.list("runs/") if key.endswith(".json"))
    ledger.put(index, b"{")
    with pytest.raises(LedgerError, match=f"{index} is damaged; delete it: it is read from compacted-"):
        Ledger.open(ledger.location).commits()
    ledger.delete(index)
    again = Ledger.open(ledger.location)
    assert len(again.commits()) == 3 and resolved(again) == before


def test_foreign_compacted_file_is_refused(ledger: Ledger) -> None:
    commit_runs(ledger, range(1))
    ledger.put("runs/compacted-mine.parquet", ledger.get(ledger.list("runs/")[0]))
    with pytest.raises(LedgerError, match=r"compacted-mine\.parquet has no index: dml-study did not write it"):
        ledger.commits()


def test_damaged_compacted_file_is_named_and_its_runs_are_due_after_deleting_it(ledger: Ledger) -> None:
    commit_runs(ledger, range(3))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(3, 4))
    key = next(key for key in ledger.list("runs/") if key.startswith("runs/compacted"))
    ledger.put(key, ledger.get(key)[:-9])
    with pytest.raises(LedgerError, match=f"{key} is damaged .* delete it: its runs become due again"):
        ledger.read("runs")
    ledger.delete(key)
    assert list(ledger.commits()) == [run_name(3)] and len(ledger.read("epochs")) == 2


class InterruptedStore(LocalStore):
    """Lets something happen just before the n-th read or the n-th listing."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads = self.lists = 0
        self.on_read: dict[int, Callable[[], Any]] = {}
        self.torn: dict[int, Callable[[list[str]], list[str]]] = {}

    def get(self, key: str) -> bytes:
        self.reads += 1
        self.on_read.get(self.reads, lambda: None)()
        return super().get(key)

    def list(self, *prefixes: str) -> list[str]:
        self.lists += 1
        return self.torn.get(self.lists, lambda keys: keys)(super().list(*prefixes))


@pytest.mark.parametrize("moment", range(1, 7))
@pytest.mark.parametrize("table", TABLES)
def test_reader_survives_a_compaction_in_between(ledger: Ledger, moment: int, table: Any) -> None:
    commit_runs(ledger, range(2))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(2, 6))
    expected = sorted(ledger.read(table).to_pylist(), key=repr)
    store = InterruptedStore(Path(ledger.location))
    store.on_read[moment] = lambda: ledger.compact(minimum_parts=1)
    assert sorted(Ledger(store).read(table).to_pylist(), key=repr) == expected
    assert store.reads >= moment


def test_reader_survives_a_listing_that_misses_both_sources_and_compacted_file(ledger: Ledger) -> None:
    """A folder that changes while it is listed may show neither the files that went nor the one that came."""
    commit_runs(ledger, range(4))
    store = InterruptedStore(Path(ledger.location))

    def torn(keys: list[str]) -> list[str]:
        ledger.compact(minimum_parts=1)
        return []

    for listing in (1, 2):
        store.lists, store.torn = 0, {listing: torn}
        assert len(Ledger(store).commits()) == 4


def test_reader_gives_up_on_files_that_never_stay(ledger: Ledger) -> None:
    commit_runs(ledger, range(2))
    listed = ledger.list("runs/")
    store = InterruptedStore(Path(ledger.location))
    store.torn = dict.fromkeys(range(1, 1000), lambda keys: listed)
    ledger.delete(listed[0])
    with pytest.raises(LedgerError, match=f"keep vanishing while they are read: .*{listed[0]} does not exist"):
        Ledger(store).read("runs")


def test_two_compactions_at_once_lose_and_double_nothing(ledger: Ledger) -> None:
    commit_runs(ledger, range(2))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(2, 6))
    before = resolved(ledger)
    folder = Path(ledger.location)

    def other() -> None:
        commit_runs(ledger, range(6, 8))
        ledger.compact(minimum_parts=1)

    for moment in range(1, 20, 3):
        copy = folder.parent / f"copy{moment}"
        for key in ledger.list(""):
            LocalStore(copy).put(key, ledger.get(key))
        rival, store = Ledger(LocalStore(copy)), InterruptedStore(copy)
        store.on_read[moment] = lambda rival=rival: (commit_runs(rival, range(6, 8)), rival.compact(minimum_parts=1))
        Ledger(store).compact(minimum_parts=1)
        commit_runs(rival, range(6, 8))
        tables = resolved(rival)
        assert [len(tables[table]) for table in TABLES] == [8, 16, 8]
        assert all(row in tables[table] for table in TABLES for row in before[table])


def test_overlapping_compacted_files_count_each_run_once(ledger: Ledger) -> None:
    """A compactor that slept over another one's work publishes a file whose runs stand elsewhere already."""
    commit_runs(ledger, range(4))
    sleepy = Ledger(MemoryStore({key: ledger.get(key) for key in ledger.list("")}))
    sleepy.compact(minimum_parts=1)
    commit_runs(ledger, range(4, 6))
    before = resolved(ledger)
    ledger.compact(minimum_parts=1)
    for key in sleepy.list(""):
        ledger.put(key, sleepy.get(key))
    assert len([name for name in names(ledger, "runs") if name.endswith(".parquet")]) == 2
    assert resolved(ledger) == before and len(ledger.commits()) == 6
    commit_runs(ledger, range(6, 14))
    ledger.compact(minimum_parts=1)
    assert len(names(ledger, "runs")) == 2
    assert len(resolved(ledger)["epochs"]) == 28 and len(pd.read_parquet(Path(ledger.location) / "runs")) == 14
