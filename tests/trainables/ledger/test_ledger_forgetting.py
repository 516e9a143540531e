"""Forgotten runs are due again, wherever their rows stood, and whenever a kill comes."""

import pytest
from ledger_tools import MemoryStore, commit_runs, resolved, run_name

from trainables.ledger import Ledger


class Kill(BaseException):
    """Ends the process under test."""


def filled() -> tuple[MemoryStore, Ledger]:
    """Eight runs, five of them in a compacted file."""
    store = MemoryStore()
    ledger = Ledger(store)
    commit_runs(ledger, range(5))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(5, 8))
    return store, ledger


def without(*forgotten: int) -> dict[str, list[dict[str, object]]]:
    ledger = Ledger(MemoryStore())
    for index in range(8):
        if index not in forgotten:
            commit_runs(ledger, range(index, index + 1))
    return resolved(ledger)


@pytest.mark.parametrize("indices", [(1,), (6,), (0, 4, 7), (0, 1, 2, 3, 4), tuple(range(8))])
def test_forgotten_runs_are_gone_and_the_others_stay(indices: tuple[int, ...]) -> None:
    store, ledger = filled()
    ledger.forget(*(run_name(index) for index in indices))
    for reader in (ledger, Ledger(store)):
        assert set(reader.commits()) == {run_name(index) for index in range(8) if index not in indices}
        assert resolved(reader) == without(*indices)


def test_a_forgotten_run_can_be_trained_again() -> None:
    _, ledger = filled()
    ledger.forget(run_name(2), run_name(6))
    commit_runs(ledger, range(2, 3), attempt="0002_01")
    commit_runs(ledger, range(6, 7), attempt="0002_01")
    assert resolved(ledger) == without()
    assert ledger.commits()[run_name(2)].attempt == "0002_01"


def test_what_was_measured_is_kept_aside() -> None:
    store, ledger = filled()
    ledger.forget(run_name(2), run_name(6))
    from trainables.ledger.tables import from_parquet

    key, epochs, classes = (store.list(f"forgotten/{table}-")[0] for table in ("runs", "epochs", "classes"))
    assert len(store.list("forgotten/")) == 3
    assert len(from_parquet("epochs", store.get(epochs), key=epochs, columns=["epoch"])) == 4
    assert len(from_parquet("classes", store.get(classes), key=classes, columns=["recall_at_1"])) == 2

    rows = from_parquet("runs", store.get(key), key=key, columns=["run_id", "test_map_at_r"]).to_pylist()
    assert sorted(row["test_map_at_r"] for row in rows) == [2 / 3, 6 / 3]


def test_a_kill_at_any_moment_leaves_whole_runs_and_forgetting_again_ends_it() -> None:
    store, ledger = filled()
    for fatal in range(100):
        killed = MemoryStore(store.objects)
        count = 0

        def before(kind: str, key: str) -> None:
            nonlocal count
            count += 1
            if count > fatal:  # noqa: B023 - called within this turn of the loop
                raise Kill

        killed.before = before
        try:
            Ledger(killed).forget(run_name(2), run_name(6))
        except Kill:
            killed.before = lambda kind, key: None
            survivors = [index for index in (2, 6) if run_name(index) in Ledger(killed).commits()]
            assert resolved(Ledger(killed)) == without(*({2, 6} - set(survivors)))
            Ledger(killed).forget(run_name(2), run_name(6))
            assert resolved(Ledger(killed)) == without(2, 6)
        else:
            break
    assert 5 < fatal < 99
    assert ledger.commits()
