"""A plan on a terminal."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from study.plan import Cell, Plan, explain, one_cell
from trainables.ledger import Commit


def print_plan(plan: Plan, commits: Mapping[str, Commit], folder: Path, *, limit: int) -> None:
    """Cells with their replicates and what the ledger already has."""
    console = Console(highlight=False)
    counts = plan.counts
    console.print(
        f"[bold]{plan.study}[/]: {counts.methods} methods, {counts.cells} cells, {counts.replicates} replicates "
        f"-> {counts.runs} runs" + (f" ({counts.shared} shared)" if counts.shared else "")
    )
    if plan.spec.description:
        console.print(plan.spec.description, markup=False, style="dim")
    console.print(_cells(plan, commits, limit))
    if len(plan.cells) > limit:
        console.print(f"... and {len(plan.cells) - limit} more cells; --limit shows them")
    states = Counter(commits[run_id].status if run_id in commits else "due" for run_id in plan.runs)
    console.print(f"{folder}: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    for warning in plan.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)


def _cells(plan: Plan, commits: Mapping[str, Commit], limit: int) -> Table:
    axes = [axis for axis in plan.axes if any(axis in cell.axes for cell in plan.cells)]
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("cell", justify="right")
    table.add_column("method", min_width=20)
    for axis in axes:
        table.add_column(axis.rpartition(".")[2].replace("_", " "))
    table.add_column("done", justify="right")
    table.add_column("runs", no_wrap=True, min_width=8)
    for index, cell in enumerate(plan.cells[:limit]):
        settings = [_text(cell.axes.get(axis)) for axis in axes]
        table.add_row(str(index), cell.method, *settings, *_progress(cell, commits))
    return table


def _progress(cell: Cell, commits: Mapping[str, Commit]) -> tuple[str, str]:
    ids = list(dict.fromkeys(replicate.run_id for replicate in cell.replicates))
    done = sum(run_id in commits and commits[run_id].status == "complete" for run_id in ids)
    return f"{done}/{len(ids)}", " ".join(run_id[:8] for run_id in ids[:4]) + (" ..." if len(ids) > 4 else "")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def print_explanation(plan: Plan, selector: str) -> None:
    """Every value of one cell with where it came from."""
    console = Console(highlight=False)
    cell = plan.cells[one_cell(plan, selector)]
    console.print(f"[bold]{cell.title}[/]")
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for heading in ("key", "value", "from"):
        table.add_column(heading)
    for key, value, source in explain(plan, selector):
        table.add_row(key, str(value), source, style="dim" if source == "default" else None)
    console.print(table)
