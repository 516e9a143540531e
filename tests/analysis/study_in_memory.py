"""Studies made up for the tests of `analysis`: in memory, or as a results folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.loading import Results, Source
from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.ledger.schema import COLUMNS
from trainables.ledger.tables import to_table

Row = dict[str, Any]
METRICS = ("recall_at_1", "r_precision", "map_at_r")
PROTOCOL = {"selection": "best_validation", "select_by": "map_at_r", "validation_folds": 4, "refit": False}


class MemoryLedger:
    """What `Results` asks of a ledger; counts which tables were read."""

    def __init__(self, runs: Sequence[Row], epochs: Sequence[Row] = (), classes: Sequence[Row] = ()) -> None:
        self._rows = {"runs": runs, "epochs": epochs, "classes": classes}
        self.reads: list[str] = []

    def read(self, table: Any) -> pa.Table:
        self.reads.append(table)
        return to_table(table, self._rows[table])


@dataclass
class Study:
    """Collects cells and runs; `results()` reads them as `analysis.load` would."""

    name: str = "made-up"
    axes: list[str] = field(default_factory=lambda: ["dataset"])
    seeds: Sequence[int] = (0, 1, 2)
    folds: int = 1
    protocol: Row = field(default_factory=lambda: dict(PROTOCOL))
    methods: list[Row] = field(default_factory=list)
    cells: list[Row] = field(default_factory=list)
    runs: dict[str, Row] = field(default_factory=dict)
    epochs: list[Row] = field(default_factory=list)
    classes: list[Row] = field(default_factory=list)
    claims: list[Row] = field(default_factory=list)
    more: Row = field(default_factory=dict)

    def add(
        self,
        method: str,
        values: Sequence[float | None] | Mapping[str, Sequence[float | None]],
        *,
        baseline: int | None = None,
        status: Mapping[int, str] | None = None,
        run_ids: Sequence[str] | None = None,
        settings: Row | None = None,
        **axes: Any,
    ) -> int:
        """One cell; `values` are fractions per replicate (seeds by folds), None where the run is not committed.

        Returns:
            Index of the cell.
        """
        axes = {key.replace("__", "."): value for key, value in {"dataset": "glyphs", **axes}.items()}
        if method not in [known["name"] for known in self.methods]:
            name = None if baseline is None else self.cells[baseline]["method"]
            self.methods.append({"name": method, "baseline": name})
        by_metric = dict(values) if isinstance(values, Mapping) else {f"test_{metric}": values for metric in METRICS}
        count = len(next(iter(by_metric.values())))
        places = list(product(self.seeds, range(self.folds)))[:count]
        ids = run_ids or [f"{len(self.cells):08x}{index:08x}" for index in range(count)]
        replicates = [
            {"seed": seed, "fold": fold, "run_id": run} for (seed, fold), run in zip(places, ids, strict=True)
        ]
        self.cells.append({"method": method, "axes": axes, "baseline": baseline, "replicates": replicates})
        for index, replicate in enumerate(replicates):
            metrics = {metric: column[index] for metric, column in by_metric.items()}
            final = (status or {}).get(index, "complete")
            if final != "complete" or any(value is not None for value in metrics.values()):
                self.runs[replicate["run_id"]] = self._run(replicate, axes, metrics, final, settings or {})
        return len(self.cells) - 1

    def _run(self, replicate: Row, axes: Row, metrics: Row, status: str, settings: Row) -> Row:
        core = {name: metrics.pop(name) for name in list(metrics) if name in COLUMNS["runs"]}
        extra = {name: value for name, value in metrics.items() if value is not None}
        config = RunConfig(seed=replicate["seed"], fold=replicate["fold"]).model_dump(mode="json")
        return {
            "run_id": replicate["run_id"],
            "attempt": "0001_01",
            "status": status,
            "study": self.name,
            "dataset": axes["dataset"],
            "dataset_revision": "abcdef0123456789",
            "backbone": "conv4",
            "embedding_dim": 64,
            "strategy": "plain",
            "seed": replicate["seed"],
            "fold": replicate["fold"],
            "config": json.dumps(config),
            "extra": extra,
            **(core if status != "failed" else {}),
            **settings,
        }

    def curve(self, cell: int, curves: Sequence[Sequence[float]], *, metric: str = "val_map_at_r") -> None:
        """One curve of a metric over the epochs per replicate of a cell."""
        for replicate, values in zip(self.cells[cell]["replicates"], curves, strict=True):
            for epoch, value in enumerate(values, start=1):
                row = {"run_id": replicate["run_id"], "attempt": "0001_01", "phase": "select", "epoch": epoch}
                self.epochs.append({**row, metric: value})

    def claim(self, better: str, worse: str, metric: str = "map_at_r") -> None:
        self.claims.append({"better": better, "worse": worse, "metric": metric})

    def add_classes(self, cell: int, values: Sequence[Sequence[float]], queries: Sequence[int]) -> None:
        """One row of test classes per replicate of a cell; they are not held against the run's own metric."""
        for replicate, row in zip(self.cells[cell]["replicates"], values, strict=True):
            for index, (value, images) in enumerate(zip(row, queries, strict=True)):
                core = {"run_id": replicate["run_id"], "attempt": "0001_01", "class_index": index, "images": images}
                self.classes.append({**core, "class_name": f"class {index}", "map_at_r": value})

    def plan(self) -> Row:
        return {
            "schema_version": 1,
            "study": self.name,
            "axes": self.axes,
            "methods": self.methods,
            "claims": self.claims,
            "protocol": self.protocol,
            "cells": self.cells,
            **self.more,
        }

    def results(self) -> Results:
        return Results((self.source(),))

    def source(self) -> Source:
        ledger: Any = MemoryLedger(list(self.runs.values()), self.epochs, self.classes)
        return Source(self.name, ledger, self.plan())

    def write(self, folder: Path) -> Path:
        """The same as a results folder."""
        ledger = Ledger.open(folder, create=True)
        ledger.write_plan(self.plan())
        for run_id, row in self.runs.items():
            epochs = [epoch for epoch in self.epochs if epoch["run_id"] == run_id]
            classes = [each for each in self.classes if each["run_id"] == run_id]
            ledger.commit(row, epochs=epochs, classes=classes)
        return folder


def merged(*studies: Study) -> Results:
    """Several studies read together."""
    return Results(tuple(study.source() for study in studies))
