"""A plan on a terminal."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from analysis.labels import axis_labels, value_text
from study.cli.common import console_out
from study.cli.views.columns import Column, print_columns, width_of
from study.cli.views.costs import estimate_lines
from study.cli.views.fusing import fusing_lines
from study.cli.views.packing import packing_lines, retried_lines
from study.cli.views.searches import print_searches
from study.cli.views.settling import settling_lines
from study.plan import Cell, Plan, PlannedRun, due_runs, explain, one_cell
from study.wording import relative
from trainables.ledger import Commit, Ledger
from trainables.ledger.places import Place

_IDS = (4, 2, 1, 0)
"""How many run ids a row shows: as many of these as the terminal has room for."""


def print_plan(plan: Plan, ledger: Ledger | None, folder: Place, *, limit: int) -> None:
    """Cells with their replicates, what the ledger already has, and what the rest will cost."""
    console, commits = console_out(), ledger.commits() if ledger else {}
    counts = plan.counts
    console.print(
        Text(plan.study, style="bold").append(
            f": {counts.methods} methods, {counts.cells} cells, {counts.replicates} replicates "
            f"-> {counts.runs} runs" + (f" ({counts.shared} shared)" if counts.shared else ""),
            style="not bold",
        )
    )
    if plan.spec.description:
        console.print(plan.spec.description, markup=False, style="dim")
    if limit and plan.cells:
        console.print()
        print_columns(console, _columns(plan, commits, limit, console.width))
    if len(plan.cells) > limit:
        console.print(f"... and {len(plan.cells) - limit} more cells; --limit {len(plan.cells)} shows them")
    if plan.searches:
        print_searches(console, plan)
    console.print()
    states = Counter(commits[run_id].status if run_id in commits else "due" for run_id in plan.runs)
    done = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "nothing to train yet"
    console.print(f"{relative(folder)}: {done}", markup=False)
    if waiting := sum(bool(run.sources) for run in plan.runs.values()):
        console.print(f"{waiting} runs need what other runs keep, and wait for them")
    if plan.settling:
        for line in settling_lines(plan.settling.record()):
            console.print(line, markup=False)
        console.print(f"{len(plan.settling.spared)} runs of further seeds wait for what these claims need")
    due = _open_runs(plan, commits)
    for line in [
        *estimate_lines(due, ledger),
        *packing_lines(due),
        *fusing_lines(due),
        *(retried_lines(ledger) if ledger else []),
    ]:
        console.print(line, markup=False)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)


def _open_runs(plan: Plan, commits: Mapping[str, Commit]) -> list[PlannedRun]:
    """Runs that are due, those of searches among them as far as they are proposed."""
    proposed = [run for search in plan.searches for each in search.candidates for run in search.open_runs(each)]
    return [*proposed, *due_runs(plan, commits)]


def _columns(plan: Plan, commits: Mapping[str, Commit], limit: int, width: int) -> list[Column]:
    cells = plan.cells[:limit]
    axes = [axis for axis in plan.axes if any(axis in cell.axes for cell in plan.cells)]
    labels = axis_labels(axes)
    columns = [
        Column("cell", [str(index) for index in range(len(cells))], right=True),
        Column("method", [cell.method for cell in cells]),
        *(
            Column(labels[axis].replace(" ", "\n"), [value_text(cell.axes.get(axis)) for cell in cells])
            for axis in axes
        ),
        Column("done", [_done(cell, commits) for cell in cells], right=True),
    ]
    with_ids = ([*columns, *_id_column(cells, shown)] for shown in _IDS)
    return next((wide for wide in with_ids if width_of(wide) <= width), columns)


def _done(cell: Cell, commits: Mapping[str, Commit]) -> str:
    ids = _run_ids(cell)
    done = sum(run_id in commits and commits[run_id].status == "complete" for run_id in ids)
    return f"{done}/{len(ids)}"


def _id_column(cells: tuple[Cell, ...], shown: int) -> list[Column]:
    if not shown:
        return []
    texts = [" ".join(run_id[:8] for run_id in _run_ids(cell)[:shown]) for cell in cells]
    more = [" ..." if len(_run_ids(cell)) > shown else "" for cell in cells]
    return [Column("runs", [text + rest for text, rest in zip(texts, more, strict=True)])]


def _run_ids(cell: Cell) -> list[str]:
    return [replicate.run_id for replicate in cell.replicates]


def print_explanation(plan: Plan, selector: str) -> None:
    """Every value of one cell with where it came from."""
    console = console_out()
    cell = plan.cells[one_cell(plan, selector)]
    console.print(Text(cell.title, style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    for key, value, source in explain(plan, selector):
        place = source.replace(str(plan.spec.path), plan.spec.path.name)
        table.add_row(key, Text(_text(value)), Text(place), style="dim" if source == "default" else None)
    console.print(table)


def _text(value: Any) -> str:
    """A value as a spec would spell it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    return "null" if value is None else value_text(value)
