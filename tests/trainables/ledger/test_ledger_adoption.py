from pathlib import Path
from typing import Any

import pytest
from ledger_tools import MemoryStore, commit_runs, run_name, run_row

from trainables.errors import LedgerError
from trainables.ledger import Commit, Ledger
from trainables.ledger.names import KEPT_KEYS

TABLES: Any = ("runs", "epochs", "classes")


@pytest.fixture
def sibling(tmp_path: Path) -> Ledger:
    ledger = Ledger.open(tmp_path / "sibling", create=True)
    commit_runs(ledger, range(3), attempt="0007_02")
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(3, 5), attempt="0008_01")
    return ledger


@pytest.fixture
def ledger(place: str) -> Ledger:
    return Ledger.open(place, create=True)


def rows(ledger: Ledger, table: Any, run_id: str, *without: str) -> list[dict[str, Any]]:
    content = ledger.read(table)
    kept = content.drop_columns([name for name in without if name in content.column_names])
    return [row for row in kept.to_pylist() if row["run_id"] == run_id]


def test_rows_are_copied_bit_for_bit_with_their_origin(ledger: Ledger, sibling: Ledger) -> None:
    taken = [run_name(1), run_name(3), run_name(4)]
    assert sorted(ledger.adopt(sibling, *taken)) == taken
    assert sorted(ledger.commits()) == taken
    for run_id in taken:
        for table in TABLES:
            assert rows(ledger, table, run_id, "origin") == rows(sibling, table, run_id, "origin") != []
        assert rows(ledger, "runs", run_id)[0]["origin"] == sibling.location
    assert ledger.commits()[run_name(1)].attempt == "0007_02"
    assert ledger.adopt(sibling, run_name(1)) == []
    assert ledger.adopt(sibling) == []
    assert len(sibling.commits()) == 5
    ledger.compact(minimum_parts=1)
    assert len(ledger.read("epochs")) == 6


def test_what_a_run_kept_for_others_comes_with_it(ledger: Ledger, sibling: Ledger) -> None:
    first, second = run_name(1), run_name(3)
    kept = {place(run_id): f"{place(run_id)}".encode() for run_id in (first, second) for place in KEPT_KEYS.values()}
    kept.pop(KEPT_KEYS["embeddings"](second))
    for key, content in kept.items():
        sibling.put(key, content)
    ledger.adopt(sibling, first, second)
    assert {key: ledger.get(key) for key in ledger.list("artifacts/")} == kept


def test_only_complete_runs_are_adopted(ledger: Ledger, sibling: Ledger) -> None:
    sibling.commit(run_row(run_name(7), status="failed"))
    with pytest.raises(LedgerError, match=f"run {run_name(7)} of .*sibling is failed: only a complete run"):
        ledger.adopt(sibling, run_name(1), run_name(7))
    with pytest.raises(LedgerError, match=f"run {run_name(8)} of .*sibling is not committed"):
        ledger.adopt(sibling, run_name(8))
    assert ledger.commits() == {}


def test_own_attempt_of_the_same_name_is_not_mixed_up(ledger: Ledger, sibling: Ledger) -> None:
    run_id = run_name(1)
    ledger.commit(run_row(run_id, "0007_02", "failed"), epochs=[{"epoch": 1, "train_loss": -1.0}])
    ledger.compact(minimum_parts=1)
    ledger.adopt(sibling, run_id)
    assert ledger.commits()[run_id] == Commit(run_id, "0007_03", "complete")
    for table in TABLES:
        expected = rows(sibling, table, run_id, "origin", "attempt")
        assert rows(ledger, table, run_id, "origin", "attempt") == expected


def test_own_complete_run_stays(ledger: Ledger, sibling: Ledger) -> None:
    commit_runs(ledger, range(2))
    assert ledger.adopt(sibling, run_name(1), run_name(2)) == [run_name(2)]
    assert rows(ledger, "runs", run_name(1))[0]["origin"] is None


def test_what_is_left_of_own_attempts_goes(ledger: Ledger, sibling: Ledger) -> None:
    attempt = ledger.new_attempt(run_name(1), generation=1)
    ledger.save_checkpoint(run_name(1), attempt, 1, b"state")
    ledger.adopt(sibling, run_name(1))
    assert ledger.list("checkpoints/") == ledger.list("live/") == []


def test_killed_adoption_is_repeated(sibling: Ledger) -> None:
    class Kill(BaseException):
        pass

    for survived in range(1, 9):
        store, count = MemoryStore(), [0]

        def die(kind: str, key: str, count: list[int] = count, survived: int = survived) -> None:
            count[0] += 1
            if count[0] > survived:
                raise Kill

        store.before = die
        with pytest.raises(Kill):
            Ledger(store).adopt(sibling, run_name(1), run_name(2), run_name(3))
        ledger = Ledger(MemoryStore(store.objects))
        assert set(ledger.read("runs")["run_id"].to_pylist()) == set(ledger.commits())
        ledger.adopt(sibling, run_name(1), run_name(2), run_name(3))
        assert [len(ledger.read(table)) for table in TABLES] == [3, 6, 3]
