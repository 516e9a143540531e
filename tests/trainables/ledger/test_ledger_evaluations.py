"""Metrics that runs got after their commit: kept beside it, through kills, compaction, copies and invalidation."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ledger_tools import MemoryStore, commit_runs, run_name

from trainables.errors import LedgerError
from trainables.ledger import Ledger, evaluations

START = datetime(2026, 1, 1, tzinfo=UTC)
Metrics = dict[str, float]


class Kill(BaseException):
    """The process is gone."""


def evaluate(
    store: Ledger | MemoryStore, index: int, metrics: Metrics, *, at: int = 0, attempt: str = "0001_01"
) -> None:
    row = {"run_id": run_name(index), "attempt": "0001_01", "distance": "cosine", "extra": metrics}
    evaluations.record(store, {**row, "evaluated_at": START + timedelta(seconds=at)})  # type: ignore[arg-type]


def known(store: Ledger | MemoryStore) -> dict[int, Metrics]:
    return {int(run_id, 16): found for (run_id, _), found in evaluations.known(store).items()}  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger.open(tmp_path / "here", create=True)
    commit_runs(ledger, range(3))
    return ledger


def test_commits_stay_as_they_are_and_the_oldest_value_counts(ledger: Ledger) -> None:
    before = {key: ledger.get(key) for key in ledger.list("runs/")}
    evaluate(ledger, 0, {"test_recall_at_16": 0.5}, at=5)
    evaluate(ledger, 0, {"test_recall_at_16": 0.7, "test_map": 0.2}, at=9)
    evaluate(ledger, 0, {"test_map": 0.9}, at=12)
    evaluate(ledger, 1, {"test_mrr": 0.1})
    assert known(ledger) == {0: {"test_recall_at_16": 0.5, "test_map": 0.2}, 1: {"test_mrr": 0.1}}
    assert {key: ledger.get(key) for key in ledger.list("runs/")} == before


def test_the_same_evaluation_has_the_same_name(ledger: Ledger) -> None:
    for moment in (0, 1):
        evaluate(ledger, 0, {"test_map": 0.5, "test_mrr": 0.5}, at=moment)
    assert len(ledger.list("evaluations/")) == 1 and evaluations.read(ledger).num_rows == 1
    assert not evaluations.exist(Ledger(MemoryStore()))  # type: ignore[arg-type]


def three_evaluated() -> MemoryStore:
    store = MemoryStore()
    for index in range(3):
        evaluate(store, index, {"test_map": index / 8}, at=index)
    return store


def forget_one(store: MemoryStore) -> None:
    evaluations.forget(store, {run_name(1)})


def compact_all(store: MemoryStore) -> None:
    evaluations.compact(store, minimum_parts=2)


@pytest.mark.parametrize(
    ("action", "expected"), [(compact_all, [0, 1, 2]), (forget_one, [0, 2])], ids=["compact", "forget"]
)
@pytest.mark.parametrize("compacted_before", [False, True])
def test_a_kill_at_every_point_loses_nothing_and_adds_nothing(
    action: Callable[[MemoryStore], None], expected: list[int], compacted_before: bool
) -> None:
    start = three_evaluated()
    if compacted_before:
        compact_all(start)
        evaluate(start, 2, {"test_mrr": 0.5})
    whole, after = known(start), {index: known(start)[index] for index in expected}
    kills = 0
    while True:
        store, left = MemoryStore(start.objects), [kills]

        def die(kind: str, key: str, left: list[int] = left) -> None:
            if not left[0]:
                raise Kill
            left[0] -= 1

        store.before = die
        try:
            action(store)
            break
        except Kill:
            kills += 1
        found = known(store)
        assert found.items() >= after.items() and found.items() <= whole.items()
        store.before = lambda kind, key: None
        action(store)
        assert known(store) == after
    assert kills >= 2 and known(store) == after
    assert evaluations.read(store).num_rows == len(after) + (compacted_before)  # none twice where nothing was killed
    aside = store.list("forgotten/")
    assert len(aside) == (action is forget_one)


def test_a_reader_that_lists_during_a_compaction_sees_every_row_once() -> None:
    store = three_evaluated()
    listing, names = store.list, store.list("evaluations/")

    def half_listed(*prefixes: str) -> list[str]:
        """The first listing misses the new file and two of those that are deleted meanwhile."""
        store.list = listing  # type: ignore[method-assign]
        compact_all(store)
        return names[:0]

    store.list = half_listed  # type: ignore[method-assign]
    assert sorted(known(store)) == [0, 1, 2]


def test_compaction_waits_for_enough_parts_and_ignores_foreign_files(ledger: Ledger) -> None:
    for index in range(3):
        evaluate(ledger, index, {"test_map": 0.5})
    for junk in ("desktop.ini", f"{run_name(0)}.0001_01.parquet", "compacted-1 (copy).parquet"):
        ledger.put(f"evaluations/{junk}", b"\x00junk")
    assert evaluations.compact(ledger, minimum_parts=4) == 0
    assert evaluations.compact(ledger, minimum_parts=3) == 3
    assert len(ledger.list("evaluations/")) == 4 and sorted(known(ledger)) == [0, 1, 2]


def test_adopted_runs_bring_their_metrics_under_their_new_attempt(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger.open(tmp_path / "there", create=True)
    commit_runs(other, range(2, 5))
    for index in (2, 3):
        evaluate(other, index, {"test_map": index / 8})
    ledger.update_live(run_name(3), "0001_01", {"epoch": 1})  # an attempt of that name left a trace here
    ledger.adopt(other, run_name(3), run_name(4))
    (attempt,) = (commit.attempt for run_id, commit in ledger.commits().items() if run_id == run_name(3))
    assert attempt == "0001_02"
    assert evaluations.known(ledger) == {(run_name(3), attempt): {"test_map": 3 / 8}}


def test_forgotten_runs_lose_their_metrics(ledger: Ledger) -> None:
    for index in range(3):
        evaluate(ledger, index, {"test_map": 0.5})
    ledger.forget(run_name(1))
    assert sorted(known(ledger)) == [0, 2]
    assert len(ledger.list("forgotten/evaluations-")) == 1


def test_a_damaged_part_is_named_with_its_remedy(ledger: Ledger) -> None:
    evaluate(ledger, 0, {"test_map": 0.5})
    (key,) = ledger.list("evaluations/")
    ledger.put(key, ledger.get(key)[:50])
    with pytest.raises(LedgerError, match=r"evaluations/0000.* is damaged .*`dml-study evaluate` computes"):
        evaluations.read(ledger)
