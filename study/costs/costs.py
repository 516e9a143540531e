"""Timings of finished runs, and what they say about runs to come."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from study.costs.budget import Budget
from trainables.ledger import Ledger, MissingKeyError

if TYPE_CHECKING:
    from trainables.config import RunConfig

COSTS_KEY = "costs.json"
VERSION = 1


@dataclass(frozen=True)
class Cost:
    """What one attempt that ended has cost.

    Attributes:
        kind: of the run, see `kind_of`.
        units: its planned length, see `units_of`.
        seconds: from its start to its end; where it went on from a checkpoint, with the epochs before.
        epoch_seconds: of one epoch with its evaluation; all of a run without epochs.
        startup: seconds before the first epoch and after the last.
        gpus, cpus: that it occupied.
        ended: seconds since 1970; 0 where it is unknown.
        copied: trained for another study.
        attempts: that it took, workers that died included.
    """

    run_id: str
    attempt: str
    status: str
    kind: str
    units: float
    seconds: float
    epoch_seconds: float
    startup: float
    gpus: float
    cpus: float
    ended: float
    copied: bool = False
    attempts: int = 1


@dataclass(frozen=True)
class Work:
    """A run to come, as far as its cost goes: kind and length as in `Cost`."""

    kind: str
    units: float
    gpus: float
    cpus: float


@dataclass(frozen=True)
class Costs:
    """Everything that is known; `work` has the runs that launches planned, `budget` is that of the last one."""

    ended: Sequence[Cost] = ()
    work: Mapping[str, Work] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)

    def seconds(self, work: Work) -> float | None:
        """Expected length of a run: by the median of complete runs of its kind; None where there is none."""
        return None if work.kind not in self._per_unit else self._per_unit[work.kind] * work.units

    def to_checkpoint(self, work: Work) -> float | None:
        """Expected seconds until the first epoch of a run can be saved."""
        return self._first.get(work.kind)

    def attempts(self, run_id: str) -> int:
        """How often a run was tried until it ended, also before it was tried again on purpose; 0 where unknown."""
        return sum(cost.attempts for cost in self.ended if cost.run_id == run_id)

    def epoch_seconds(self, work: Work) -> float:
        """Expected seconds of an epoch; 0 where it is unknown."""
        return self._epochs.get(work.kind, 0.0)

    @cached_property
    def _per_unit(self) -> dict[str, float]:
        return self._medians((cost.kind, cost.seconds / cost.units) for cost in self._complete)

    @cached_property
    def _first(self) -> dict[str, float]:
        return self._medians((cost.kind, cost.startup + cost.epoch_seconds) for cost in self._complete)

    @cached_property
    def _epochs(self) -> dict[str, float]:
        return self._medians((cost.kind, cost.epoch_seconds) for cost in self._complete)

    @property
    def _complete(self) -> list[Cost]:
        return [cost for cost in self.ended if cost.status == "complete"]

    @staticmethod
    def _medians(values: Iterable[tuple[str, float]]) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for kind, value in values:
            found.setdefault(kind, []).append(value)
        return {kind: median(each) for kind, each in found.items()}

    def to_json(self) -> str:
        """The content of `costs.json`."""
        work = {run_id: asdict(each) for run_id, each in self.work.items()}
        runs, budget = [asdict(cost) for cost in self.ended], self.budget.model_dump(exclude_none=True)
        return json.dumps({"version": VERSION, "budget": budget, "runs": runs, "work": work})


def read_costs(ledger: Ledger) -> Costs:
    """What a results folder's `costs.json` says; nothing where there is none that can be read: it is written anew."""
    try:
        content = json.loads(ledger.get(COSTS_KEY))
        if content["version"] != VERSION:
            return Costs()
        ended = [_made(Cost, each) for each in content["runs"]]
        work = {run_id: _made(Work, each) for run_id, each in content["work"].items()}
        return Costs(ended, work, Budget.model_validate(content["budget"]))
    except (MissingKeyError, ValueError, KeyError, TypeError):
        return Costs()


def _made(kind: Any, values: Mapping[str, Any]) -> Any:
    return kind(**{each.name: values[each.name] for each in fields(kind)})


def cost_of(row: Mapping[str, Any], *, gpus: float | None = None, cpus: float | None = None) -> Cost:
    """The cost of a row of table `runs`.

    Args:
        row: with the columns of `COLUMNS_READ`.
        gpus, cpus: of the run in the plan; of a run that is in none, one CPU, and one GPU where it trained on one.
    """
    config = json.loads(row["config"] or "{}")
    trained = (row["train_seconds"] or 0.0) + (row["eval_seconds"] or 0.0)
    seconds, epochs = max(row["wall_seconds"] or 0.0, trained), row["epochs_trained"] or 0
    names = [str(row[name]) for name in ("dataset", "backbone", "loss", "synthesis", "strategy", "device")]
    return Cost(
        run_id=row["run_id"],
        attempt=row["attempt"],
        status=row["status"],
        kind=_kind(*names, trainable=config.get("backbone", {}).get("trainable", True)),
        units=_units(config["training"]) if row["epochs"] and "training" in config else 1.0,
        seconds=seconds,
        epoch_seconds=trained / epochs if epochs else seconds,
        startup=seconds - trained if epochs else 0.0,
        gpus=(1.0 if row["device"] == "cuda" else 0.0) if gpus is None else gpus,
        cpus=1.0 if cpus is None else cpus,
        ended=row["ended_at"].timestamp() if row["ended_at"] else 0.0,
        copied=row["origin"] is not None,
        attempts=row["attempts"] or 1,
    )


COLUMNS_READ = (
    *("run_id", "attempt", "status", "dataset", "backbone", "loss", "synthesis", "strategy", "device", "epochs"),
    *("epochs_trained", "train_seconds", "eval_seconds", "wall_seconds", "ended_at", "attempts", "origin", "config"),
)


def work_of(run: "RunConfig", *, gpus: float, cpus: float) -> Work:
    """A run's kind and length."""
    run = run.simplified()
    loss = run.strategy.objective or run.loss.name
    names = (run.dataset.title, run.backbone.name, loss, run.synthesis.name, run.strategy.name, run.device)
    units = _units(run.training.model_dump()) if run.strategy.trains else 1.0
    return Work(_kind(*names, trainable=run.backbone.trainable), units, gpus, cpus)


def _kind(*names: str, trainable: bool) -> str:
    """Runs of one kind take equally long for each unit: same data, network, method and device."""
    return "/".join([*names, "trained" if trainable else "frozen"])


def _units(training: Mapping[str, Any]) -> float:
    """Epochs; steps where an epoch is so many of them, whatever the data."""
    return float(training["epochs"] * (training.get("steps_per_epoch") or 1))
