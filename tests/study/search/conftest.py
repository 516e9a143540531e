"""Searches without any training: values are made up, runs end when a test says so."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.plan import Plan, PlannedRun, build_plan
from study.search import Board, Search, SearchCell, Task
from study.search.history import NoHistory
from study.spec import load_spec
from trainables.training.cutoffs import Curve, stopped_after

Value = Callable[[PlannedRun], float]
Shape = Callable[[PlannedRun, float, float], float]
"""(run, its last value, share of its epochs) -> its value there."""

SPEC = """\
study: s
methods:
  norm: {{loss: norm_softmax, tune: {{loss.scale: {scale}, embedding_dim: [8, 16, 32]}}}}
replicates: {{seeds: 2, folds: 2}}
stages: {{tune: {{sampler: {sampler}, trials: {trials}, window: {window}, seeds: [100, 101]}}}}
"""
SCALE = "{distribution: loguniform, min: 1, max: 64}"


def tuned(*, sampler: str = "tpe", trials: int = 14, window: int = 4, scale: str = SCALE) -> str:
    """A study of one tuned method."""
    return SPEC.format(sampler=sampler, trials=trials, window=window, scale=scale)


def smooth(run: PlannedRun) -> float:
    """Best at scale 20 and 16 dimensions; seeds and folds add some noise."""
    scale, dimensions = run.config.loss.scale, run.config.embedding_dim  # type: ignore[attr-defined]
    noise = 0.01 * math.sin(7 * run.seed + 13 * run.fold)
    return 0.5 - 0.1 * math.log(scale / 20) ** 2 - abs(dimensions - 16) / 200 + noise


def rising(run: PlannedRun, final: float, share: float) -> float:
    """A curve that ends at its last value, and crosses others of its kind."""
    return final * share**0.3 + 0.02 * (1 - share) * math.sin(run.config.loss.scale)  # type: ignore[attr-defined]


class Toy(NoHistory):
    """A results folder in memory: recorded settings, and values of the runs that have ended."""

    def __init__(self, value: Value = smooth) -> None:
        self.value = value
        self.records: dict[str, dict[int, dict[str, Any]]] = {}
        self.values: dict[str, float] = {}
        self.started: list[PlannedRun] = []
        self.ended: dict[int, int] = {}
        self.ordered: dict[str, int] = {}

    def search(self, cell: SearchCell) -> Search:
        return Search(cell, records=self, values=lambda run_id, metric: self.values.get(run_id))

    def load(self, cell_id: str) -> dict[int, dict[str, Any]]:
        return dict(self.records.get(cell_id, {}))

    def put(self, cell_id: str, number: int, record: dict[str, Any]) -> None:
        assert number not in self.records.get(cell_id, {}), "a setting is recorded once"
        self.records.setdefault(cell_id, {})[number] = record

    def put_ended(self, cell_id: str, number: int, *, replicates: int) -> None:
        self.ended[number] = replicates

    def orders(self, cell_id: str) -> dict[str, int]:
        return dict(self.ordered)

    def put_order(self, cell_id: str, run_id: str, *, epoch: int) -> None:
        self.ordered[run_id] = epoch

    def finish(self, plan: Plan, *, workers: int = 1, order: int = 0, until: int = 10**6) -> Plan:
        """Trains what searches propose on so many workers, whose runs end in a random order; returns the new plan."""
        drawn, running = random.Random(order), list[Task]()
        assert plan.rebuilt is not None
        board = Board(plan.rebuilt(self).searches)
        for _ in range(until):
            while len(running) < workers and (task := board.next()) is not None:
                running.append(task)
                self.started.append(task.run)
            if not running:
                break
            ended = running.pop(drawn.randrange(len(running)))
            self.end(ended)
            board.ended(ended.run.run_id)
        return plan.rebuilt(self)

    def end(self, task: Task) -> None:
        """What stands in the ledger when a run has ended."""
        self.values[task.run.run_id] = self.value(task.run)

    def params(self, plan: Plan) -> list[dict[str, Any]]:
        """All settings of the only search, in number order."""
        (search,) = plan.searches
        return [dict(candidate.params) for candidate in search.candidates]


class StoppingToy(Toy):
    """A results folder of runs with curves, which stop themselves. `value` is that of the last epoch."""

    def __init__(self, value: Value = smooth, *, shape: Shape = rising) -> None:
        super().__init__(value)
        self.shape = shape
        self.curves: dict[str, Curve] = {}

    def search(self, cell: SearchCell) -> Search:
        return Search(
            cell,
            records=self,
            values=lambda run_id, metric: self.values.get(run_id),
            curves=lambda run_id, metric: self.curves.get(run_id, Curve({})),
        )

    def end(self, task: Task) -> None:
        """A run that stops itself has a curve and no value."""
        run = task.run
        epochs, final = run.config.training.epochs, self.value(run)
        values = {epoch: self.shape(run, final, epoch / epochs) for epoch in range(1, epochs + 1)}
        stop = stopped_after(run.config, Curve(values), task.cutoffs)
        self.values.pop(run.run_id, None)
        self.curves[run.run_id] = Curve({epoch: values[epoch] for epoch in range(1, (stop or epochs) + 1)})
        if stop is None:
            self.values[run.run_id] = final

    def stops(self, plan: Plan) -> list[list[list[int | None]]]:
        """Where the runs of all settings stopped, by search, setting and run."""
        return [
            [[search.stops.stopped(run) for run in candidate.runs] for candidate in search.candidates]
            for search in plan.searches
        ]


@pytest.fixture
def make_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Writes `spec.yaml` into the working directory of the test and plans it."""
    monkeypatch.chdir(tmp_path)

    def make(text: str, *overrides: str, history: Any = None) -> Plan:
        Path("spec.yaml").write_text(text, encoding="utf-8")
        return build_plan(load_spec("spec.yaml", overrides=overrides), resolve_data=False, history=history)

    return make


@pytest.fixture
def make_toy() -> type[Toy]:
    return Toy


@pytest.fixture
def make_stopping_toy() -> type[StoppingToy]:
    return StoppingToy


@pytest.fixture
def tuned_spec() -> Callable[..., str]:
    return tuned
