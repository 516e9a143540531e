"""Stops by a results folder: what is committed is judged by each search, and a stopped run goes on for another one."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from study.launch.tuning import Tuning, opened
from study.plan import Plan, build_plan
from study.search import Task
from study.spec import load_spec
from trainables.config import RunConfig
from trainables.errors import LedgerError
from trainables.ledger import Ledger
from trainables.training.cutoffs import Curve, stopped_after

SPEC = """\
study: s
methods:
  norm: {loss: norm_softmax, tune: {loss.scale: [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]}}
  ps: {extends: norm, synthesis: proxy_synthesis, baseline: norm, tune: {synthesis.ratio: [0, 1.0]}}
settings: {training.epochs: 8}
stages: {tune: {sampler: random, trials: 20, window: 2, seeds: [100], scheduler: halving}}
"""


def value(config: RunConfig, epoch: int) -> float:
    """Mixing is better, so a run without stops early in that search and goes on in the other."""
    scale, mixed = config.loss.scale, config.synthesis.name != "none"  # type: ignore[attr-defined]
    return (0.01 * scale + 0.3 * mixed + 0.2) * (epoch / 8) ** 0.5 + 0.01 * math.sin(epoch * scale)


def commit(ledger: Ledger, task: Task) -> None:
    """What a session commits, without training."""
    config, run_id = task.run.config, task.run.run_id
    curve = Curve({epoch: value(config, epoch) for epoch in range(1, 9)})
    stop = stopped_after(config, curve, task.cutoffs)
    row: dict[str, Any] = {"run_id": run_id, "stage": "tune", "attempt": ledger.new_attempt(run_id, generation=1)}
    row |= {"status": "complete", "val_map_at_r": curve.values[8]} if stop is None else {"status": "pruned"}
    epochs = [{"epoch": epoch, "steps": 3, "val_map_at_r": curve.values[epoch]} for epoch in range(1, (stop or 8) + 1)]
    ledger.commit(row, epochs=epochs)


def searched(
    plan: Plan, ledger: Ledger, *, methods: str, workers: int, order: int, killed_after: int = 10**6
) -> list[str]:
    """Launches until the searches of some methods are over; returns the runs that were trained."""
    drawn, trained = random.Random(order), list[str]()
    while True:
        now, history = opened(plan, ledger)
        searches = [search for search in now.searches if search.cell.method in methods.split()]
        tuning = Tuning(searches, history, lambda task: {"task": task})
        running: list[Task] = []
        for _ in range(killed_after):
            while len(running) < workers and (configuration := tuning.next()) is not None:
                running.append(configuration["task"])
            if not running:
                return trained
            ended = running.pop(drawn.randrange(len(running)))
            commit(ledger, ended)
            trained.append(ended.run.run_id)
            tuning.ended(ended.run.run_id)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "s.yaml").write_text(SPEC)
    return build_plan(load_spec(tmp_path / "s.yaml"), resolve_data=False)


@pytest.mark.parametrize("cutoffs", [5, [[1]], [["a", 0.5]], {"2": None}])
def test_damaged_cutoffs_are_told(plan: Plan, tmp_path: Path, cutoffs: Any) -> None:
    ledger = Ledger.open(tmp_path / "damaged", create=True)
    now, history = opened(plan, ledger)
    Tuning(now.searches, history, lambda task: {})
    key = ledger.list("search/")[0]
    record = json.loads(ledger.get(key))
    record["runs"][0]["cutoffs"] = cutoffs
    ledger.put(key, json.dumps(record).encode())
    with pytest.raises(LedgerError, match=f"{key} is damaged"):
        opened(plan, ledger)


def test_a_folder_gives_the_same_stops_however_it_was_filled(plan: Plan, tmp_path: Path) -> None:
    found, again = [], []
    for index, launches in enumerate([["norm ps"], ["norm", "ps"], ["ps", "norm"]]):
        ledger, trained = Ledger.open(tmp_path / str(index), create=True), list[str]()
        for methods in launches:
            trained += searched(plan, ledger, methods=methods, workers=1 + 2 * index, order=index, killed_after=7)
        again.append(len(trained) - len(set(trained)))
        done, _ = opened(plan, ledger)
        stops = [[s.stops.stopped(run) for each in s.candidates for run in each.runs] for s in done.searches]
        assert all(search.over and search.pruned and not search.differences() for search in done.searches)
        records = {key: ledger.get(key) for key in ledger.list("search/")}
        found.append((records, stops, [search.record() for search in done.searches]))
    assert found[1] == found[0] and found[2] == found[0]
    assert again[2] > 0, "no run that the search of ps stopped went on for that of norm"
