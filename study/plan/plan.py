"""What a study consists of: cells, their replicates, and the distinct runs behind them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from study.plan.identity import Replicate
from study.plan.layers import Sections
from study.spec.model import Resources
from study.spec.spec import Claim, Spec
from trainables.config import RunConfig
from trainables.strategies.config import Kept

if TYPE_CHECKING:
    from study.search.history import History
    from study.search.search import Search
    from study.settling import Settling

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Cell:
    """One number of a table.

    Attributes:
        axes: value of every axis that the method has, by key.
        baseline: index of the cell that this one is compared with.
        config: configuration of the first replicate.
        sections: where every value of the configuration came from.
    """

    method: str
    axes: Mapping[str, Any]
    baseline: int | None
    replicates: tuple[Replicate, ...]
    config: RunConfig
    resources: Resources
    sections: Sections = field(repr=False)

    @property
    def title(self) -> str:
        axes = ", ".join(f"{key}={value}" for key, value in self.axes.items())
        return f"{self.method} ({axes})" if axes else self.method


@dataclass(frozen=True)
class PlannedRun:
    """One training; it may stand behind several cells.

    Attributes:
        fold: None where the run reads out the models of all folds.
        sources: runs that this one needs something of, which come first.
        kept: what runs of this plan need of this one; it stays on disk.
    """

    run_id: str
    seed: int
    fold: int | None
    resources: Resources
    cells: tuple[int, ...]
    base: RunConfig = field(repr=False)
    sources: tuple[str, ...] = ()
    kept: frozenset[Kept] = frozenset()

    @cached_property
    def config(self) -> RunConfig:
        """The resolved configuration, without parameters that cannot matter; its `run_id()` is this run's."""
        run = self.base
        update = {"seed": self.seed, "fold": self.fold or 0, "keep": run.keep.with_kept(self.kept)}
        if self.sources:
            update["strategy"] = run.strategy.with_sources(self.sources)
        return run.model_copy(update=update).simplified()


@dataclass(frozen=True)
class Counts:
    """Size of a plan. `shared` replicates need no run of their own."""

    methods: int
    cells: int
    replicates: int
    runs: int
    shared: int
    excluded: int


@dataclass(frozen=True)
class Plan:
    """A study as runs.

    Attributes:
        axes: compared keys in table order; `dataset` is always one of them.
        methods: names with their baselines, in table order.
        runs: distinct runs by id, in the order in which they are started.
        warnings: what is allowed and probably not meant.
        resolved: whether datasets and weights were looked up; without, ids are not those of a run.
        searches: of tuned methods, one for each of their cells; a cell itself comes when its search has chosen.
        rebuilt: the plan as the searches and the looks of a history have it.
        settling: how far claims are settled, where that decides how many seeds are trained.
    """

    spec: Spec = field(repr=False)
    axes: tuple[str, ...]
    methods: Mapping[str, str | None]
    cells: tuple[Cell, ...]
    runs: Mapping[str, PlannedRun]
    protocol: Mapping[str, Any]
    warnings: tuple[str, ...]
    excluded: int
    resolved: bool
    searches: "tuple[Search, ...]" = ()
    rebuilt: "Callable[[History], Plan] | None" = field(default=None, repr=False, compare=False)
    settling: "Settling | None" = None

    @property
    def study(self) -> str:
        return self.spec.study

    @property
    def claims(self) -> tuple[Claim, ...]:
        return self.spec.claims

    @property
    def needs_search(self) -> tuple[str, ...]:
        """Methods with a search space."""
        return self.spec.needs_search

    @property
    def counts(self) -> Counts:
        replicates = sum(len(cell.replicates) for cell in self.cells)
        runs = len(self.runs)
        return Counts(len(self.methods), len(self.cells), replicates, runs, replicates - runs, self.excluded)

    def describe(self, run_id: str) -> str:
        """What a run is, in one line."""
        run = self.runs[run_id]
        fold = "all folds" if run.fold is None else f"fold {run.fold}"
        return f"{self.cells[run.cells[0]].title}, seed {run.seed}, {fold}"

    def record(self) -> dict[str, Any]:
        """The content of `plan.json`: what analysis needs to know about cells, and nothing about how runs train."""
        return {
            "schema_version": SCHEMA_VERSION,
            "study": self.study,
            **({"description": self.spec.description} if self.spec.description else {}),
            "spec": str(self.spec.path),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "axes": list(self.axes),
            "methods": list(self._method_records()),
            "claims": [{"better": claim.better, "worse": claim.worse, "metric": claim.metric} for claim in self.claims],
            "protocol": dict(self.protocol),
            "cells": [_cell_record(cell) for cell in self.cells],
            **({"searches": [search.record() for search in self.searches]} if self.searches else {}),
            **({"settling": self.settling.record()} if self.settling else {}),
        }

    def _method_records(self) -> Iterator[dict[str, Any]]:
        labels = {method.name: method.label for method in self.spec.methods}
        for name, baseline in self.methods.items():
            label = labels.get(name)
            yield {"name": name, "baseline": baseline, **({"label": label} if label else {})}


def _cell_record(cell: Cell) -> dict[str, Any]:
    replicates = [_replicate_record(replicate) for replicate in cell.replicates]
    return {"method": cell.method, "axes": dict(cell.axes), "baseline": cell.baseline, "replicates": replicates}


def _replicate_record(replicate: Replicate) -> dict[str, Any]:
    record = {"seed": replicate.seed, "fold": replicate.fold, "run_id": replicate.run_id}
    return {**record, "sources": list(replicate.sources)} if replicate.sources else record
