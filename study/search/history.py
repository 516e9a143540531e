"""What a results folder knows of searches: their recorded settings, and how runs ended."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, get_args

from study.search.cell import SearchCell
from study.search.records import LedgerRecords, NoRecords
from study.search.search import Search
from study.settling import Evidence, LedgerEvidence, NoEvidence
from study.spec.model import Cost
from trainables.ledger import Ledger
from trainables.training.cutoffs import Curve

Row = dict[str, Any]

_METRICS = ("val_recall_at_1", "val_r_precision", "val_map_at_r", "extra")
_COSTS: tuple[str, ...] = get_args(Cost)
_COLUMNS = ("run_id", "status", "stage", *_METRICS, *_COSTS)
_EPOCH_COLUMNS = ("run_id", "epoch", "steps", *_METRICS)


class History(Protocol):
    """Opens searches where they stand, and knows how claims stand."""

    @property
    def evidence(self) -> Evidence: ...

    def search(self, cell: SearchCell) -> Search: ...


class NoHistory:
    """Nothing was searched yet."""

    evidence: Evidence = NoEvidence()

    def search(self, cell: SearchCell) -> Search:
        return Search(cell, records=NoRecords(), values=lambda run_id, metric: None)


class SearchHistory:
    """The searches of a results folder."""

    def __init__(self, ledger: Ledger) -> None:
        self.records = LedgerRecords(ledger)
        self.evidence = LedgerEvidence(ledger)
        self._ledger = ledger
        self._values = LedgerValues(ledger)
        self._curves = LedgerCurves(ledger, self._values)

    def search(self, cell: SearchCell) -> Search:
        return Search(cell, records=self.records, values=self._values, curves=self._curves)

    def look(self, run_ids: Collection[str]) -> None:
        """Reads how these runs ended."""
        self._values.look(run_ids)
        self._curves.look(run_ids)

    def reopen(self, run_id: str) -> None:
        """Takes a run off the ledger that one search stopped, before it is trained again for another."""
        if self._values.stopped(run_id):
            self._ledger.forget(run_id)


class _Rehearsal(NoHistory):
    def search(self, cell: SearchCell) -> Search:
        """A search that is over with its first setting."""
        short = replace(cell, stage=cell.stage.model_copy(update={"trials": 1}))
        search = Search(short, records=NoRecords(), values=lambda run_id, metric: 0.0)
        search.propose()
        return search


def rehearsal() -> History:
    """Every search as if its first setting had been chosen."""
    return _Rehearsal()


@dataclass(frozen=True)
class _FirstCorner(NoRecords):
    """A record of the setting of all lower bounds and first choices."""

    cell: SearchCell

    def load(self, cell_id: str) -> dict[int, dict[str, Any]]:
        return {0: {"params": dict(self.cell.space.corners()[0]), "runs": []}}


class Foresight(NoHistory):
    """Every search as if its space's first corner had been chosen: what comes after it can be checked before it."""

    def search(self, cell: SearchCell) -> Search:
        short = replace(cell, stage=cell.stage.model_copy(update={"trials": 1}))
        return Search(short, records=_FirstCorner(cell), values=lambda run_id, metric: 0.0)


class LedgerValues:
    """Validation metrics and costs of finished runs; the table is read when the first one is asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __call__(self, run_id: str, metric: str) -> float | None:
        row = self._rows.get(run_id)
        return (
            None
            if row is None or row["status"] == "pruned"
            else _value(row, metric if metric in _COSTS else f"val_{metric}")
        )

    @cached_property
    def _rows(self) -> dict[str, Row]:
        if not self._ledger.commits():
            return {}
        return {row["run_id"]: row for row in self._ledger.read("runs", columns=_COLUMNS).to_pylist()}

    @property
    def tuned(self) -> list[str]:
        """Finished runs of the tune stage."""
        return [run_id for run_id, row in self._rows.items() if row["stage"] == "tune"]

    def stopped(self, run_id: str) -> bool:
        """Whether a search stopped a run."""
        return run_id in self._rows and self._rows[run_id]["status"] == "pruned"

    def look(self, run_ids: Collection[str]) -> None:
        """Reads the rows of runs that have ended since."""
        rows = self._ledger.read("runs", columns=_COLUMNS, run_ids=run_ids).to_pylist()
        self._rows.update((row["run_id"], row) for row in rows)


class LedgerCurves:
    """Validation of finished tune runs, epoch by epoch; the table is read when the first curve is asked for."""

    def __init__(self, ledger: Ledger, values: LedgerValues) -> None:
        self._ledger, self._values = ledger, values
        self._curves: dict[tuple[str, str], Curve] = {}

    def __call__(self, run_id: str, metric: str) -> Curve:
        key = (run_id, metric)
        if key not in self._curves:
            self._curves[key] = Curve.of(self._rows.get(run_id, ()), metric=metric)
        return self._curves[key]

    @cached_property
    def _rows(self) -> dict[str, list[Row]]:
        return self._read(self._values.tuned)

    def look(self, run_ids: Collection[str]) -> None:
        """Reads the rows of runs that have ended since, where any were read before."""
        if "_rows" in self.__dict__:
            self._rows.update(self._read(run_ids))
            self._curves = {key: curve for key, curve in self._curves.items() if key[0] not in run_ids}

    def _read(self, run_ids: Collection[str]) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        if run_ids:
            for row in self._ledger.read("epochs", columns=_EPOCH_COLUMNS, run_ids=run_ids).to_pylist():
                found.setdefault(row["run_id"], []).append(row)
        return found


def _value(row: Row, column: str) -> float:
    """NaN of a run that did not get there, or measured no such thing."""
    value = row.get(column, dict(row["extra"] or []).get(column))
    return math.nan if row["status"] != "complete" or value is None else float(value)
