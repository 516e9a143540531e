"""Attempts, live records, commits and what is tidied up after them."""

import json
from pathlib import Path

import pytest
from ledger_tools import MemoryStore, commit_runs, run_name, run_row

from trainables.errors import LedgerError
from trainables.ledger import Commit, Ledger
from trainables.ledger.names import attempt_order, resolve

RUN = run_name(1)


@pytest.fixture
def ledger(place: str) -> Ledger:
    return Ledger.open(place, create=True)


def test_complete_wins_then_the_smallest_attempt() -> None:
    def winner(*commits: tuple[str, str]) -> str:
        found = resolve(Commit(RUN, attempt, status) for attempt, status in commits)[RUN]
        return f"{found.attempt} {found.status}"

    assert winner(("0001_01", "failed"), ("0002_01", "complete"), ("0003_01", "complete")) == "0002_01 complete"
    assert winner(("0002_01", "pruned"), ("0001_02", "failed")) == "0001_02 failed"
    assert winner(("0001_100", "complete"), ("0001_99", "complete")) == "0001_99 complete"
    assert winner(("0001_01", "failed"), ("0001_01", "complete")) == "0001_01 complete"
    assert sorted(["10000_01", "9999_02", "9999_10"], key=attempt_order) == ["9999_02", "9999_10", "10000_01"]


def test_commit_writes_epochs_and_classes_before_the_run() -> None:
    store = MemoryStore()
    ledger, keys = Ledger(store), []
    attempt = ledger.new_attempt(RUN, generation=1)
    ledger.save_checkpoint(RUN, attempt, 1, b"state")
    store.before = lambda kind, key: keys.append(f"{kind} {key}")
    ledger.commit(run_row(RUN, attempt), epochs=[{"epoch": 1}], classes=[{"class_index": 0}])
    assert keys == [
        f"put epochs/{RUN}.0001_01.parquet",
        f"put classes/{RUN}.0001_01.parquet",
        f"put runs/{RUN}.0001_01.complete.parquet",
        f"delete checkpoints/{RUN}/0001_01-000001.ckpt",
        f"delete live/{RUN}.0001_01.json",
    ]


def test_rows_of_a_resumed_run_carry_the_committing_attempt(ledger: Ledger) -> None:
    rows = [{"run_id": RUN, "attempt": "0001_01", "epoch": 1}, {"epoch": 2}]
    ledger.commit(run_row(RUN, "0002_01"), epochs=rows)
    assert ledger.read("epochs", columns=["attempt", "epoch"]).to_pylist() == [
        {"attempt": "0002_01", "epoch": 1},
        {"attempt": "0002_01", "epoch": 2},
    ]


def test_second_commit_of_an_attempt_changes_nothing(ledger: Ledger) -> None:
    ledger.commit(run_row(RUN, test_map_at_r=0.5), epochs=[{"epoch": 1}, {"epoch": 2}])
    ledger.save_checkpoint(RUN, "0001_01", 2, b"written by a process that did not know")
    ledger.commit(run_row(RUN, test_map_at_r=0.5), epochs=[{"epoch": 1}, {"epoch": 2}])
    ledger.commit(run_row(RUN, status="failed", error="raised while tidying up"), epochs=[{"epoch": 1}])
    assert ledger.commits() == {RUN: Commit(RUN, "0001_01", "complete")}
    assert len(ledger.list("runs/")) == 1 and len(ledger.read("epochs")) == 2
    assert ledger.list("checkpoints/") == []


def test_only_rows_of_the_counting_commit_are_read(ledger: Ledger) -> None:
    ledger.commit(run_row(RUN, "0001_01", "failed", error="boom"), epochs=[{"epoch": 1}])
    assert ledger.read("runs", columns=["status"]).to_pylist() == [{"status": "failed"}]
    ledger.commit(run_row(RUN, "0003_01"), epochs=[{"epoch": 1}, {"epoch": 2}], classes=[{"class_index": 0}])
    ledger.commit(run_row(RUN, "0002_01", "pruned"), epochs=[{"epoch": 1}])
    uncommitted = MemoryStore({key: ledger.get(key) for key in ledger.list("")})
    uncommitted.put(f"epochs/{run_name(2)}.0001_01.parquet", ledger.get(f"epochs/{RUN}.0001_01.parquet"))
    for view in (ledger, Ledger(uncommitted)):
        assert view.read("runs", columns=["attempt"])["attempt"].to_pylist() == ["0003_01"]
        assert view.read("epochs", columns=["attempt"])["attempt"].to_pylist() == ["0003_01"] * 2


def test_foreign_files_are_no_commits(ledger: Ledger) -> None:
    for name in (
        f"{RUN}.0001_01.running.parquet",
        f"{RUN}.parquet",
        "notes.txt",
        f"{RUN}.0001_01.complete.parquet.bak",
    ):
        ledger.put(f"runs/{name}", b"")
    assert ledger.commits() == {} and len(ledger.read("runs")) == 0


def test_attempts_count_up_within_a_generation(ledger: Ledger) -> None:
    assert ledger.attempts(RUN) == []
    assert [ledger.new_attempt(RUN, generation=generation) for generation in (1, 1, 2)] == [
        "0001_01",
        "0001_02",
        "0002_01",
    ]
    ledger.new_attempt(run_name(2), generation=2)
    assert ledger.attempts(RUN) == ["0001_01", "0001_02", "0002_01"]
    ledger.commit(run_row(RUN, "0002_01", "failed"))
    assert ledger.list(f"live/{RUN}.") == []
    assert ledger.new_attempt(RUN, generation=2) == "0002_02"  # the name of a commit is never given out again
    ledger.compact(minimum_parts=1)
    assert ledger.new_attempt(RUN, generation=2) == "0002_03"
    ledger.save_checkpoint(RUN, "0003_99", 1, b"")
    assert ledger.new_attempt(RUN, generation=3) == "0003_100"
    assert ledger.attempts(RUN)[-2:] == ["0003_99", "0003_100"]


def test_live_records_of_attempts_under_way(ledger: Ledger) -> None:
    for index in range(3):
        ledger.new_attempt(run_name(index), generation=1)
    ledger.update_live(RUN, "0001_01", {"epoch": 3, "epochs": 20})
    ledger.commit(run_row(run_name(2)))
    ledger.put(f"live/{run_name(0)}.0001_01.json", b"\0\0\0")  # what a power cut may leave
    ledger.update_live(run_name(2), "0001_01", {"epoch": 9})  # a worker that does not know of the commit
    first, second = ledger.live()
    assert first == {"run_id": run_name(0), "attempt": "0001_01"}
    assert second["run_id"] == RUN and (second["epoch"], second["epochs"]) == (3, 20)
    assert second["host"] and second["pid"] and second["started_at"] <= second["updated_at"]


def test_finish_needs_a_commit(ledger: Ledger) -> None:
    ledger.save_checkpoint(RUN, "0001_01", 1, b"state")
    with pytest.raises(LedgerError, match=r"is not committed .* its checkpoints are still needed"):
        ledger.finish(RUN)
    ledger.sweep()
    assert len(ledger.list("checkpoints/")) == 1
    ledger.commit(run_row(RUN, "0002_01"))
    ledger.finish(RUN)
    assert ledger.list("checkpoints/") == []


def test_retry_of_a_failed_run_keeps_its_checkpoints(ledger: Ledger) -> None:
    ledger.commit(run_row(RUN, "0001_01", "failed"))
    for attempt in ("0001_01", "0002_01"):
        ledger.save_checkpoint(RUN, attempt, int(attempt[3]), b"state")
        ledger.update_live(RUN, attempt, {})
    ledger.finish(RUN)
    assert ledger.list("checkpoints/") == [f"checkpoints/{RUN}/0002_01-000002.ckpt"]
    assert ledger.list("live/") == [f"live/{RUN}.0002_01.json"]
    assert [record["attempt"] for record in ledger.live()] == ["0002_01"]


def test_sweep_finishes_every_committed_run(ledger: Ledger) -> None:
    commit_runs(ledger, range(3))
    for index in range(4):
        ledger.save_checkpoint(run_name(index), "0002_01", 1, b"")
        ledger.update_live(run_name(index), "0002_01", {})
    ledger.sweep()
    assert ledger.list("checkpoints/") == [f"checkpoints/{run_name(3)}/0002_01-000001.ckpt"]
    assert ledger.list("live/") == [f"live/{run_name(3)}.0002_01.json"]


def test_names_alone_tell_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger.open(tmp_path / "results", create=True)
    commit_runs(ledger, range(5))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(5, 8))
    ledger.commit(run_row(run_name(9), status="failed"))
    opened: list[str] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: (opened.append(self.name), read_bytes(self))[1])
    monkeypatch.setattr("pyarrow.parquet.ParquetFile", None)
    again = Ledger.open(ledger.location)
    assert [commit.status for commit in again.commits().values()] == ["complete"] * 8 + ["failed"]
    again.attempts(RUN), again.live()
    assert [name for name in opened if name.endswith(".parquet")] == []
    assert len([name for name in opened if name.startswith("_compacted-")]) == 1


def test_live_record_is_json_in_a_file_of_its_own(ledger: Ledger) -> None:
    attempt = ledger.new_attempt(RUN, generation=4)
    content = json.loads(ledger.get(f"live/{RUN}.{attempt}.json"))
    assert attempt == "0004_01" and set(content) == {"host", "pid", "started_at", "updated_at"}
