"""Keeps `costs.json` up with the ledger, for the driver of a results folder."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from study.costs.budget import Budget
from study.costs.costs import COLUMNS_READ, COSTS_KEY, cost_of, read_costs
from study.costs.estimate import works
from trainables.ledger import Ledger

if TYPE_CHECKING:
    from study.plan import PlannedRun


class CostBook:
    """What finished runs have cost. Runs that were forgotten since stay in it: they were paid for."""

    def __init__(self, ledger: Ledger, *, budget: Budget | None = None) -> None:
        self._ledger, self._lock = ledger, threading.Lock()
        self.costs = self._written = read_costs(ledger)
        if budget is not None and budget != self.costs.budget:
            self.costs = replace(self.costs, budget=budget)

    def expect(self, runs: "Iterable[PlannedRun]") -> None:
        """Notes what runs are planned."""
        found = works(runs)
        with self._lock:
            if not found.items() <= self.costs.work.items():
                self.costs = replace(self.costs, work={**self.costs.work, **found})

    def refresh(self) -> None:
        """Reads the rows that were committed since the last time."""
        with self._lock:
            known = {(cost.run_id, cost.attempt) for cost in self.costs.ended}
            commits = self._ledger.commits().values()
            new = {commit.run_id for commit in commits if (commit.run_id, commit.attempt) not in known}
            if new:
                self._add(new)

    def save(self) -> None:
        """`refresh`, and writes the file where it says something else."""
        self.refresh()
        with self._lock:
            if self.costs is not self._written:
                self._ledger.put(COSTS_KEY, self.costs.to_json().encode())
                self._written = self.costs

    def _add(self, run_ids: set[str]) -> None:
        work = self.costs.work
        ended = list(self.costs.ended)
        for row in self._ledger.read("runs", columns=COLUMNS_READ, run_ids=run_ids).to_pylist():
            planned = work.get(row["run_id"])
            ended.append(cost_of(row, gpus=planned.gpus if planned else None, cpus=planned.cpus if planned else None))
        self.costs = replace(self.costs, ended=ended)
