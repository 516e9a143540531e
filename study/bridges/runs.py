"""What trackers of experiments are told: the finished runs of a study, each with its name, metrics and epochs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from analysis.labels import plain_value
from analysis.loading.widening import leaves
from study.bridges.targets import distinct
from study.wording import RunName, run_names, search_names
from trainables.errors import DmlStudyError
from trainables.ledger import COLUMNS

if TYPE_CHECKING:
    from trainables.ledger import Ledger

Row = Mapping[str, Any]

_NUMBERS = ("double", "int32", "int64")
_SCORES = ("best_test_", "test_", "val_")
_NO_METRICS = ("schema_version", "seed", "fold", "epoch", "steps", "embedding_dim", "epochs")
_FACTS = (
    *("run_id", "attempt", "status", "stage", "dataset", "dataset_revision"),
    *("host", "device", "device_name", "git_commit", "origin", "error"),
)
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a ledger has no time."""


@dataclass(frozen=True)
class Epoch:
    """One trained epoch.

    Attributes:
        step: epochs so far, over all phases.
        time: when it ended.
        metrics: "val/map_at_r", "train/loss", "lr"; those of the second training begin with "refit/".
    """

    step: int
    time: datetime
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrackedRun:
    """A finished run.

    Attributes:
        name: unique in the study.
        row: of table `runs`.
        rows: of table `epochs`, in their order.
    """

    name: RunName
    row: Row
    rows: Sequence[Row] = field(repr=False, default=())

    @property
    def run_id(self) -> str:
        return str(self.row["run_id"])

    @property
    def status(self) -> str:
        """complete, failed or pruned."""
        return str(self.row["status"])

    @property
    def cell(self) -> str:
        """ "method, ratio 0.5": what its replicates share."""
        return str(RunName(self.name.method, self.name.setting, ""))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration, nested."""
        return dict(json.loads(self.row["config"])) if self.row["config"] else {}

    @cached_property
    def params(self) -> dict[str, Any]:
        """The configuration as dotted keys; lists are text, what is not set is left out."""
        return {key: plain_value(value) for key, value in leaves(self.config) if value is not None}

    @property
    def facts(self) -> dict[str, str]:
        """Where the run stands and came from, as text."""
        return {key: str(self.row[key]) for key in _FACTS if self.row[key] is not None}

    @property
    def metrics(self) -> dict[str, float]:
        """ "selected/test_map_at_r" and other metrics of the selected epoch; "run/wall_seconds" and other figures."""
        found = numbers(self.row, "runs")
        extra = dict(self.row["extra"] or ())
        return {
            ("selected/" if key in extra or key.startswith(_SCORES) else "run/") + key: value
            for key, value in found.items()
        }

    @property
    def ended(self) -> datetime:
        return self.row["ended_at"] or self.row["started_at"] or NEVER

    @property
    def started(self) -> datetime:
        """When the first epoch began; of a run that was killed and went on, as if it had not waited."""
        trained = timedelta(seconds=sum(map(_seconds, self.rows)))
        return min(self.row["started_at"] or self.ended, self.ended - trained)

    @property
    def epochs(self) -> Iterator[Epoch]:
        now = self.started
        for step, row in enumerate(self.rows, start=1):
            now += timedelta(seconds=_seconds(row))
            phase = "" if row["phase"] in (None, "select") else f"{row['phase']}/"
            values = {phase + _grouped(key): value for key, value in numbers(row, "epochs").items()}
            yield Epoch(step, now, values)


class StudyRuns:
    """The finished runs of a study's plan and of its searches, in that order.

    Attributes:
        study: its name.
        plan: as it was written last.
        unfinished: number of runs that have no rows yet.
        left: number of finished runs that left the spec; they are left out, as in tables.
    """

    def __init__(self, ledger: "Ledger") -> None:
        """
        Raises:
            DmlStudyError: there is no plan, or no run of it is finished.
        """
        self.plan = ledger.read_plan()
        self.study = str(self.plan["study"])
        self._ledger = ledger
        names = {**run_names(self.plan["cells"]), **search_names(self.plan.get("searches", ()), ledger)}
        rows = {row["run_id"]: row for row in ledger.read("runs").to_pylist()}
        found = {run_id: name for run_id, name in names.items() if run_id in rows}
        if not found:
            raise DmlStudyError(f"{ledger.location}: no run is finished yet; `dml-study run` starts or continues")
        self._runs = [TrackedRun(name, rows[run_id]) for run_id, name in _unique(found).items()]
        self.unfinished, self.left = len(names) - len(found), len(rows) - len(found)

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def named(self) -> Sequence[TrackedRun]:
        """The runs without their epochs."""
        return self._runs

    @property
    def results(self) -> str:
        """Place of the results folder."""
        return self._ledger.location

    @cached_property
    def varied(self) -> frozenset[str]:
        """Parameters of which the runs have several values."""
        values: dict[str, set[str]] = {}
        for run in self._runs:
            for key, value in run.params.items():
                values.setdefault(key, set()).add(repr(value))
        counts = {key: sum(key in run.params for run in self._runs) for key in values}
        return frozenset(key for key, texts in values.items() if len(texts) > 1 or counts[key] < len(self))

    def __iter__(self) -> Iterator[TrackedRun]:
        epochs = EpochRows(self._ledger)
        return (TrackedRun(run.name, run.row, epochs.of(run.run_id)) for run in self._runs)


class EpochRows:
    """The table `epochs`, as compact as it was read, and where in it a run stands."""

    def __init__(self, ledger: "Ledger") -> None:
        self._table = ledger.read("epochs")
        self._places: dict[str, tuple[int, int]] = {}
        start = 0
        for run_id, rows in groupby(self._table["run_id"].to_pylist()):
            count = sum(1 for _ in rows)
            self._places[run_id] = (start, count)
            start += count

    def of(self, run_id: str) -> list[Row]:
        """A run's rows, in the order in which it wrote them."""
        start, count = self._places.get(run_id, (0, 0))
        return list(self._table.slice(start, count).to_pylist())


def _unique(names: Mapping[str, RunName]) -> dict[str, RunName]:
    """Two settings whose values are rounded to one text get a number."""
    texts = distinct(str(name) for name in names.values())
    return {
        run_id: RunName(name.method, name.setting, name.replicate + text[len(str(name)) :])
        for (run_id, name), text in zip(names.items(), texts, strict=True)
    }


def numbers(row: Row, table: Any) -> dict[str, float]:
    """All metrics of a row, also those of `extra`; what was not measured is left out."""
    names = [key for key, kind in COLUMNS[table].items() if kind in _NUMBERS and key not in _NO_METRICS]
    found = {key: row[key] for key in names} | dict(row["extra"] or ())
    return {key: float(value) for key, value in found.items() if value is not None}


def _grouped(name: str) -> str:
    """ "val_map_at_r" as "val/map_at_r": tools show what stands before the slash together."""
    prefix = next((prefix for prefix in (*_SCORES, "train_") if name.startswith(prefix)), "")
    return f"{prefix[:-1]}/{name.removeprefix(prefix)}" if prefix else name


def _seconds(row: Row) -> float:
    return float(row["train_seconds"] or 0) + float(row["eval_seconds"] or 0)
