"""A results folder of a study in every state, made by hand: nothing is trained."""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from study.cli import main
from trainables.config import RunConfig
from trainables.ledger import Ledger

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROTOCOL = {"selection": "best_validation", "select_by": "map_at_r", "validation_folds": 4, "refit": False}
SPACE = {
    "loss.scale": {"distribution": "loguniform", "min": 4.0, "max": 64.0, "step": None},
    "embedding_dim": {"distribution": "int", "min": 8, "max": 32, "step": 8},
    "backbone": {"distribution": "choice", "values": [{"name": "conv4"}, "resnet18"]},
}


def run_id(index: int) -> str:
    return f"{index:016x}"


def replicates(*indices: int) -> list[dict[str, Any]]:
    return [{"seed": seed, "fold": 0, "run_id": run_id(index)} for seed, index in enumerate(indices)]


def commit(ledger: Ledger, index: int, *, status: str = "complete", val: float = 0.5, **columns: Any) -> None:
    """A run of two epochs of ten seconds each that began `index` minutes after the start; stopped ones have one."""
    began, epochs = START + timedelta(minutes=index), 1 if status == "pruned" else 2
    row = {
        **{"run_id": run_id(index), "attempt": "0001_01", "status": status, "study": "stüdy", "stage": "confirm"},
        **{"dataset": "birds", "seed": index % 2, "fold": 0, "started_at": began, "selected_epoch": 2},
        **{"ended_at": began + timedelta(seconds=30), "wall_seconds": 30.0, "epochs_trained": epochs},
        "config": json.dumps(RunConfig(seed=index % 2, embedding_dim=8 + index).model_dump(mode="json")),
        **({"val_map_at_r": val, "test_map_at_r": val / 2, "extra": {}} if status == "complete" else {"extra": {}}),
        **columns,
    }
    rows = [
        {
            **{"phase": "select", "epoch": epoch, "steps": 7, "train_loss": 3.0 / epoch, "lr": 0.1},
            **{"train_seconds": 8.0, "eval_seconds": 2.0, "val_map_at_r": val * epoch / 2},
            "extra": {"val_recall_at_2": 0.9} if index % 2 else {},
        }
        for epoch in range(1, epochs + 1)
    ]
    ledger.commit(row, epochs=rows)


def plan(**changes: Any) -> dict[str, Any]:
    """Cells 0-3 are compared, cell 4 is that of the search's best setting."""
    birds = {"dataset": "birds"}
    settings = [
        {"number": 0, "params": {}, "runs": [], "value": 0.5, "state": "complete"},
        {"number": 2, "params": {}, "runs": [], "value": None, "state": "failed", "error": "cannot stand together"},
    ]
    search = {
        **{"method": "tuned", "axes": birds, "cell_id": "f" * 16, "space": SPACE, "sampler": "tpe"},
        **{"scheduler": "halving", "trials": 5, "window": 8, "seeds": [100, 101], "folds": [0]},
        **{"select_by": "map_at_r", "settings": settings, "chosen": 0},
    }
    cells = [("base", {}, (1, 2)), *(("α/β", {"synthesis.ratio": ratio}, ids) for ratio, ids in RATIOS.items())]
    cells.append(("tuned", {}, (20, 21)))
    return {
        **{"study": "stüdy", "spec": "spec.yaml", "axes": ["dataset", "synthesis.ratio"], "claims": []},
        "methods": [{"name": name, "baseline": None} for name in ("base", "α/β", "tuned")],
        "protocol": PROTOCOL,
        "cells": [
            {"method": method, "axes": {**birds, **axes}, "baseline": None, "replicates": replicates(*ids)}
            for method, axes, ids in cells
        ],
        "searches": [search],
        **changes,
    }


RATIOS = {0.5: (3, 4), 1.0: (5, 6), 2.0: (7, 8)}
SETTINGS = [(10, 11), (12, 13), (), (14, 15)]


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Complete runs, a failed one (6), a pruned one (13), unfinished ones (8, 15), and one that left the spec (99)."""
    ledger = Ledger.open(tmp_path / "results" / "stüdy", create=True)
    ledger.write_plan(plan())
    for number, ids in enumerate(SETTINGS):
        params = {"loss.scale": 4.0 + number, "embedding_dim": 8 + 8 * (number % 2), "backbone": {"name": "conv4"}}
        runs = [{**run, "seed": run["seed"] + 100} for run in replicates(*ids)]
        record = {"number": number, "params": params, "runs": runs}
        ledger.put(f"search/{'f' * 16}/{number}.json", json.dumps(record).encode())
    for index in (1, 2, 3, 4, 5, 7, 10, 11, 12, 14, 20, 21, 99):
        commit(ledger, index, val=index / 100)
    commit(ledger, 6, status="failed", error="Traceback\nTrainingError: the training loss became nan")
    commit(ledger, 13, status="pruned", val=0.2)
    return ledger


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Calls `dml-study export ...` beside `results/`; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dml-study", "export", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return call
