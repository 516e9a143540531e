"""How groups of runs ended: the state, the mean and the curve of a setting, the statistics of a cell."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from study.bridges.runs import EpochRows, numbers
from trainables.ledger import Ledger
from trainables.training.cutoffs import Curve

if TYPE_CHECKING:
    from analysis.cells import Sample

Row = Mapping[str, Any]
State = Literal["complete", "pruned", "failed", "unfinished"]

_SCORES = ("val_", "test_", "best_test_")


class Outcomes:
    """The rows of a study, looked at by setting."""

    def __init__(self, ledger: Ledger, plan: Mapping[str, Any]) -> None:
        self._ledger, self._plan = ledger, plan
        self._rows: dict[str, Row] = {row["run_id"]: row for row in ledger.read("runs").to_pylist()}

    @property
    def metric(self) -> str:
        """The column that cells are compared by: of validation classes, where the protocol has any."""
        name = self._plan["protocol"].get("select_by") or "map_at_r"
        measured = {key for row in self._rows.values() for key in numbers(row, "runs")}
        wanted = (f"val_{name}", f"test_{name}", "test_map_at_r")
        return next((column for column in wanted if column in measured), wanted[0])

    def state(self, run_ids: Sequence[str], metric: str) -> State:
        """Of a setting with these runs; one that has none could not be trained."""
        statuses = [self._rows[run_id]["status"] if run_id in self._rows else "unfinished" for run_id in run_ids]
        if "unfinished" in statuses:
            return "unfinished"
        if "pruned" in statuses and "failed" not in statuses:
            return "pruned"
        values = self.values(run_ids, metric)
        whole = len(values) == len(run_ids) > 0 and all(status == "complete" for status in statuses)
        return "complete" if whole else "failed"

    def values(self, run_ids: Sequence[str], metric: str) -> list[float]:
        """The metric of complete runs, where it is a number."""
        found = (self._value(run_id, metric) for run_id in run_ids)
        return [value for value in found if value is not None]

    def cost(self, run_ids: Sequence[str], column: str) -> float:
        """The mean of a column over complete runs; infinite where one lacks it: what is not known is the dearest."""
        costs = [self._rows[run_id][column] for run_id in run_ids]
        return math.inf if None in costs else math.fsum(costs) / len(costs)

    def told(self, run_id: str, metric: str) -> dict[str, Any]:
        """Status and value of one run, as JSON values."""
        status = self._rows[run_id]["status"] if run_id in self._rows else "unfinished"
        return {"status": status, "value": self._value(run_id, metric)}

    def _value(self, run_id: str, metric: str) -> float | None:
        row = self._rows.get(run_id)
        value = numbers(row, "runs").get(metric) if row and row["status"] == "complete" else None
        return value if value is not None and math.isfinite(value) else None

    def curve(self, run_ids: Sequence[str], metric: str) -> dict[int, float]:
        """Epoch -> mean, at the epochs that all runs evaluated on validation classes."""
        if not metric.startswith("val_") or not run_ids:
            return {}
        rows = [self._epochs.of(run_id) for run_id in run_ids]
        curves = [Curve.of(each, metric=metric.removeprefix("val_")).values for each in rows]
        means = {epoch: math.fsum(curve[epoch] for curve in curves) / len(curves) for epoch in _shared(curves)}
        return {epoch: mean for epoch, mean in means.items() if math.isfinite(mean)}

    def span(self, run_ids: Sequence[str]) -> tuple[datetime | None, datetime | None]:
        """When the first of these runs began and the last one ended; None where the ledger does not say."""
        rows = [self._rows[run_id] for run_id in run_ids if run_id in self._rows]
        began = [row["started_at"] for row in rows if row["started_at"]]
        ended = [row["ended_at"] for row in rows if row["ended_at"]]
        return min(began, default=None), max(ended, default=None)

    def of_cell(self, index: int) -> dict[str, float]:
        """ "test_map_at_r" and "test_map_at_r std" of every score by the rules of tables, and how many runs: "n"."""
        found = {metric: samples[index] for metric, samples in self._samples.items() if index in samples}
        if not found:
            return {}
        notes: dict[str, float] = {"n": max(sample.n for sample in found.values())}
        for metric, sample in found.items():
            notes |= {metric: sample.mean}
            notes |= {f"{metric} std": float(sample.values.std(ddof=1))} if sample.n > 1 else {}
            notes |= {f"{metric} n": sample.n} if sample.n < notes["n"] else {}
        return notes

    @cached_property
    def _epochs(self) -> EpochRows:
        return EpochRows(self._ledger)

    @cached_property
    def _samples(self) -> "dict[str, dict[int, Sample]]":
        from analysis.cells import cell_samples
        from analysis.loading import Results, Source

        if not self._rows or not self._plan["cells"]:
            return {}
        replicates = Results((Source(self._plan["study"], self._ledger, dict(self._plan)),)).replicates
        columns = [column for column in replicates.columns if column.startswith(_SCORES)]
        samples = {column: cell_samples(replicates, column) for column in columns}
        return {column: {key[1]: sample for key, sample in found.items()} for column, found in samples.items()}


def _shared(curves: Sequence[Mapping[int, float]]) -> list[int]:
    return sorted(set.intersection(*(set(curve) for curve in curves)))
