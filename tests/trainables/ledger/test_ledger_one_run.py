"""What one run asks of the ledger does not grow with the runs of others: workers ask it several times per run."""

from pathlib import Path

import pytest
from ledger_tools import MemoryStore, commit_runs, run_name, run_row

from trainables.ledger import Commit, Ledger
from trainables.ledger.catalog import Catalog
from trainables.ledger.store import LocalStore


def test_the_commits_of_one_run_are_those_among_all_commits_wherever_they_stand() -> None:
    store = MemoryStore()
    ledger, catalog = Ledger(store), Catalog(store)
    commit_runs(ledger, range(6))
    ledger.commit(run_row(run_name(1), "0002_01", status="failed"))
    ledger.compact(minimum_parts=1)
    commit_runs(ledger, range(6, 8))
    ledger.compact(minimum_parts=1)  # another compacted file
    commit_runs(ledger, range(8, 20))
    ledger.compact(minimum_parts=1)  # one that absorbs both
    ledger.forget(run_name(2), run_name(12))
    commit_runs(ledger, range(20, 24))
    ledger.commit(run_row(run_name(3), "0003_01", status="failed"))
    for index in range(25):
        of_one = [commit for commit in catalog.all_commits() if commit.run_id == run_name(index)]
        assert sorted(catalog.commits_of(run_name(index)), key=str) == sorted(of_one, key=str)
    assert [len(catalog.commits_of(run_name(index))) for index in (1, 2, 3, 12, 23, 24)] == [2, 0, 2, 0, 1, 0]
    assert ledger.commit_of(run_name(1)) == Commit(run_name(1), "0001_01", "complete")
    assert ledger.commit_of(run_name(2)) is None


def test_a_run_that_is_compacted_between_two_listings_is_found() -> None:
    store = MemoryStore()
    commit_runs(Ledger(store), range(4))

    class Compacting(MemoryStore):
        """Another process compacts between the first listing and the second."""

        listings = 0

        def list(self, *prefixes: str) -> list[str]:
            self.listings += 1
            if self.listings == 2:
                Ledger(store).compact(minimum_parts=1)
                self.objects = store.objects
            return super().list(*prefixes)

    late = Compacting(store.objects)
    late.objects = {key: data for key, data in store.objects.items() if not key.startswith(f"runs/{run_name(1)}")}
    assert [commit.run_id for commit in Catalog(late).commits_of(run_name(1))] == [run_name(1)]
    assert late.listings == 4


def test_names_of_other_runs_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger.open(tmp_path / "results", create=True)
    commit_runs(ledger, range(5))
    listed: list[str] = []
    whole = LocalStore.list

    def noted(self: LocalStore, *prefixes: str) -> list[str]:
        keys = whole(self, *prefixes)
        listed.extend(keys)
        return keys

    monkeypatch.setattr(LocalStore, "list", noted)
    attempt = ledger.new_attempt(run_name(9), generation=1)
    ledger.commit(run_row(run_name(9), attempt), epochs=[{"epoch": 1, "train_loss": 0.0}])
    assert listed and all(run_name(9) in key for key in listed)
