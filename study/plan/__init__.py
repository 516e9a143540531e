"""From a spec to runs: cells, replicates, content-addressed runs, and which of them are due."""

from study.plan.build import build_plan
from study.plan.due import blocked_runs, due_runs
from study.plan.explain import explain
from study.plan.plan import Cell, Counts, Plan, PlannedRun
from study.plan.select import fitting_searches, one_cell
from study.spec.model import Resources

__all__ = [
    "Cell",
    "Counts",
    "Plan",
    "PlannedRun",
    "Resources",
    "blocked_runs",
    "build_plan",
    "due_runs",
    "explain",
    "fitting_searches",
    "one_cell",
]
