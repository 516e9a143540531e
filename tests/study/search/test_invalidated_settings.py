"""Runs of a search that do not count any more."""

import json
import os
from pathlib import Path

import pytest

from study.invalidation import invalidate
from study.search.records import LedgerRecords
from trainables.ledger import Ledger


def test_settings_that_ended_early_are_open_again_where_a_run_of_their_search_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is trained anew may have other values: then a setting that was compared with it trains on."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    ledger = Ledger.open(tmp_path / "s", create=True)
    records = LedgerRecords(ledger)
    for cell, first in (("a", 0), ("b", 10)):
        for number in range(2):
            runs = [{"run_id": f"{first + 2 * number + each:016x}", "seed": each, "fold": 0} for each in range(2)]
            records.put(cell, number, {"params": {}, "runs": runs})
        records.put_ended(cell, 1, replicates=1)
    ledger.commit({"run_id": f"{0:016x}", "attempt": "0001_01", "status": "complete"})
    invalidate(ledger, [f"{0:016x}"], reason="wrong labels")
    assert [len(records.begun(cell)[1]) for cell in ("a", "b")] == [2, 1]
    assert set(records.load("a")) == {0, 1}
    assert json.loads(ledger.get("search/b/1.ended.json")) == {"replicates": 1}
