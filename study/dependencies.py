"""Runs that need the results of others, by what `plan.json` says of them: no plan has to be built."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any


def run_sources(cells: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Run id -> the runs of the study that it needs, for those that need any."""
    replicates = (replicate for cell in cells for replicate in cell["replicates"])
    return {replicate["run_id"]: replicate["sources"] for replicate in replicates if replicate.get("sources")}


def blocked(sources: Mapping[str, Collection[str]], states: Mapping[str, str]) -> set[str]:
    """Runs without a result that need one that failed, directly or not.

    Args:
        sources: run id -> the runs that it needs.
        states: final status of committed runs.
    """
    stopped = {run_id for run_id, state in states.items() if state == "failed"}
    waiting = {run_id: needed for run_id, needed in sources.items() if states.get(run_id) != "complete"}
    while more := {run_id for run_id, needed in waiting.items() if not stopped.isdisjoint(needed)} - stopped:
        stopped |= more
    return {run_id for run_id in stopped if states.get(run_id) != "failed"}
