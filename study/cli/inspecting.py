"""`status`, `show` and `logs`: what a study and its runs are doing. None of it loads torch, ray or pandas."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from study.cli.standing import Standing
    from trainables.ledger import Ledger

_SHOWN = 20
_ALWAYS = ("done", "running", "failed", "waiting")
_WHY = {"blocked": " by a failed run that they need"}


def status(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY]", help="A results folder, a spec, or a study in `results/`; all of these by default."
        ),
    ] = None,
    results: options.Results = None,
) -> None:
    """Count done, running, pending and failed runs, with reasons and progress."""
    from study.cli.common import console_out
    from study.cli.finding import open_ledger
    from study.cli.standing import standing

    console = console_out()
    ledgers = _all_ledgers() if target is None and results is None else [open_ledger(target or "", results)]
    for ledger in ledgers:
        _print_study(console, standing(ledger))


def _all_ledgers() -> "list[Ledger]":
    from study.cli.finding import NotFoundError, studies
    from trainables.ledger import Ledger

    ledgers = [Ledger.open(folder) for folder in studies()]
    if not ledgers:
        raise NotFoundError("there is no study in results/; `dml-study run SPEC` starts one")
    return ledgers


def _print_study(console: "Console", study: "Standing") -> None:
    from study.wording import relative

    where = relative(study.ledger.location)
    console.print(f"{study.plan['study']} in {where}: {len(study.titles)} runs", style="bold", markup=False)
    counts = {name: count for name, count in study.counts().items() if count or name in _ALWAYS}
    console.print("  " + ", ".join(f"{count} {name}{_WHY.get(name, '')}" for name, count in counts.items()))
    for line in study.lines():
        console.print(f"  {line}", markup=False)
    failed = study.failed()
    _print_runs(console, "running", study.running(), study.titles)
    _print_runs(console, "failed", failed, study.titles)
    if failed:
        console.print(f"  `dml-study logs {next(iter(failed))[:8]}` has the whole error", markup=False)
    console.print(f"  {study.at_work_or_next()}", markup=False)


def _print_runs(console: "Console", state: str, runs: Mapping[str, str], titles: Mapping[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    for run_id, text in list(runs.items())[:_SHOWN]:
        table.add_row(f"  {state}", run_id[:8], Text(f"{titles[run_id]}: {text}"))
    if len(runs) > _SHOWN:
        table.add_row("", "...", f"and {len(runs) - _SHOWN} more")
    if runs:
        console.print(table, style="red" if state == "failed" else "")


def show(run: options.Run, results: options.Results = None) -> None:
    """Show one run: its metrics, times, provenance and configuration."""
    from study.cli.finding import find_run
    from study.cli.views.run import print_run

    print_run(find_run(run, results))


def logs(
    run: options.Run,
    results: options.Results = None,
    all_attempts: Annotated[bool, typer.Option("--all", help="Every attempt, not only the newest.")] = False,
) -> None:
    """Print the log of one run."""
    from study.cli.finding import NotFoundError, find_run

    found = find_run(run, results)
    names = found.ledger.list(f"logs/{found.run_id}.")
    if not names:
        raise NotFoundError(f"run {found.run_id} has no log yet in {found.ledger.location}")
    for name in names if all_attempts else names[-1:]:
        typer.echo(found.ledger.get(name).decode(errors="replace"), nl=False)
