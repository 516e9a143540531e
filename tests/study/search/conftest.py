"""Searches without any training: values are made up, runs end when a test says so."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.plan import Plan, PlannedRun, build_plan
from study.search import Board, Search, SearchCell
from study.spec import load_spec

Value = Callable[[PlannedRun], float]

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


class Toy:
    """A results folder in memory: recorded settings, and values of the runs that have ended."""

    def __init__(self, value: Value = smooth) -> None:
        self.value = value
        self.records: dict[str, dict[int, dict[str, Any]]] = {}
        self.values: dict[str, float] = {}
        self.started: list[PlannedRun] = []

    def search(self, cell: SearchCell) -> Search:
        return Search(cell, records=self, values=lambda run_id, metric: self.values.get(run_id))

    def load(self, cell_id: str) -> dict[int, dict[str, Any]]:
        return dict(self.records.get(cell_id, {}))

    def put(self, cell_id: str, number: int, record: dict[str, Any]) -> None:
        assert number not in self.records.get(cell_id, {}), "a setting is recorded once"
        self.records.setdefault(cell_id, {})[number] = record

    def finish(self, plan: Plan, *, workers: int = 1, order: int = 0, until: int = 10**6) -> Plan:
        """Trains what searches propose on so many workers, whose runs end in a random order; returns the new plan."""
        drawn, running = random.Random(order), list[PlannedRun]()
        assert plan.rebuilt is not None
        board = Board(plan.rebuilt(self).searches)
        for _ in range(until):
            while len(running) < workers and (task := board.next()) is not None:
                running.append(task.run)
                self.started.append(task.run)
            if not running:
                break
            ended = running.pop(drawn.randrange(len(running)))
            self.values[ended.run_id] = self.value(ended)
            board.ended(ended.run_id)
        return plan.rebuilt(self)

    def params(self, plan: Plan) -> list[dict[str, Any]]:
        """All settings of the only search, in number order."""
        (search,) = plan.searches
        return [dict(candidate.params) for candidate in search.candidates]


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
def tuned_spec() -> Callable[..., str]:
    return tuned
