"""What a results folder knows of searches: their recorded settings, and how runs ended."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from study.search.cell import SearchCell
from study.search.records import LedgerRecords, NoRecords
from study.search.search import Search
from trainables.ledger import Ledger

_COLUMNS = ("run_id", "status", "val_recall_at_1", "val_r_precision", "val_map_at_r", "extra")


class History(Protocol):
    """Opens searches where they stand."""

    def search(self, cell: SearchCell) -> Search: ...


class NoHistory:
    """Nothing was searched yet."""

    def search(self, cell: SearchCell) -> Search:
        return Search(cell, records=NoRecords(), values=lambda run_id, metric: None)


class SearchHistory:
    """The searches of a results folder."""

    def __init__(self, ledger: Ledger) -> None:
        self.records = LedgerRecords(ledger)
        self._values = LedgerValues(ledger)

    def search(self, cell: SearchCell) -> Search:
        return Search(cell, records=self.records, values=self._values)

    def look(self, run_ids: Collection[str]) -> None:
        """Reads how these runs ended."""
        self._values.look(run_ids)


@dataclass(frozen=True)
class _Rehearsal:
    def search(self, cell: SearchCell) -> Search:
        """A search that is over with its first setting."""
        short = replace(cell, stage=cell.stage.model_copy(update={"trials": 1}))
        search = Search(short, records=NoRecords(), values=lambda run_id, metric: 0.0)
        search.propose()
        return search


def rehearsal() -> History:
    """Every search as if its first setting had been chosen."""
    return _Rehearsal()


class LedgerValues:
    """Validation metrics of finished runs; the table is read when the first one is asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rows: dict[str, dict[str, Any]] | None = None

    def __call__(self, run_id: str, metric: str) -> float | None:
        if self._rows is None:
            self._rows = {}
            if self._ledger.commits():
                self._add(self._ledger.read("runs", columns=_COLUMNS).to_pylist())
        row = self._rows.get(run_id)
        return None if row is None else _value(row, f"val_{metric}")

    def look(self, run_ids: Collection[str]) -> None:
        """Reads the rows of runs that have ended since."""
        self("", "")
        self._add(self._ledger.read("runs", columns=_COLUMNS, run_ids=run_ids).to_pylist())

    def _add(self, rows: Iterable[dict[str, Any]]) -> None:
        assert self._rows is not None
        self._rows.update((row["run_id"], row) for row in rows)


def _value(row: dict[str, Any], column: str) -> float:
    """NaN of a run that did not get there, or measured no such thing."""
    value = row.get(column, dict(row["extra"] or []).get(column))
    return math.nan if row["status"] != "complete" or value is None else float(value)
