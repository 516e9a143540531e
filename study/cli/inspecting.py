"""`status`, `show` and `logs`: what a study and its runs are doing. None of it loads torch, ray or pandas."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.cli import options

if TYPE_CHECKING:
    from trainables.ledger import Ledger

_SHOWN = 20


def status(
    target: Annotated[str, typer.Argument(help="A results folder, a spec, or the name of a shipped study.")],
    results: options.Results = None,
) -> None:
    """Count done, running, pending and failed runs, with reasons and progress."""
    from rich.console import Console

    from study.cli.common import open_ledger

    ledger = open_ledger(target, results)
    planned = _planned(ledger)
    commits = {run_id: commit.status for run_id, commit in ledger.commits().items() if run_id in planned}
    running = [live for live in ledger.live() if live["run_id"] in planned and live["run_id"] not in commits]
    counts = Counter(commits.values())
    console = Console(highlight=False)
    driver = _driver(ledger)
    console.print(f"[bold]{ledger.read_plan()['study']}[/] in {ledger.location}: {len(planned)} runs")
    console.print(
        f"  {counts['complete']} done, {len(running) if driver else 0} running, {counts['failed']} failed, "
        f"{len(planned) - len(commits) - (len(running) if driver else 0)} pending"
    )
    console.print(f"  {driver or 'no driver is at work; `dml-study run` with the same spec goes on'}")
    _print_running(console, running if driver else [], planned)
    _print_failed(console, ledger, [run_id for run_id, state in commits.items() if state == "failed"], planned)


def _planned(ledger: "Ledger") -> dict[str, str]:
    """Run id -> description of the first cell that uses it."""
    planned: dict[str, str] = {}
    for cell in ledger.read_plan()["cells"]:
        for replicate in cell["replicates"]:
            axes = ", ".join(f"{key.split('.')[-1]}={value}" for key, value in cell["axes"].items())
            planned.setdefault(replicate["run_id"], f"{cell['method']}, {axes}, seed {replicate['seed']}")
    return planned


def _driver(ledger: "Ledger") -> str | None:
    """Who drives the study now, in words; None where nobody does."""
    from trainables.ledger.lease import holder

    driver = holder(ledger)
    if driver is None:
        return None
    return f"process {driver.pid} on {driver.host} is at work (start {driver.generation} of this study)"


def _print_running(console: Any, running: list[dict[str, Any]], planned: dict[str, str]) -> None:
    for live in running[:_SHOWN]:
        epochs = f"epoch {live['epoch']}/{live['epochs']}" if live.get("epochs") else "starting"
        console.print(f"  running {live['run_id']} {planned[live['run_id']]}: {epochs}", markup=False)


def _print_failed(console: Any, ledger: "Ledger", failed: list[str], planned: dict[str, str]) -> None:
    for run_id in failed[:_SHOWN]:
        console.print(f"  failed {run_id} {planned[run_id]}: {_last_line(ledger, run_id)}", style="red", markup=False)
    if len(failed) > _SHOWN:
        console.print(f"  ... and {len(failed) - _SHOWN} more")


def _last_line(ledger: "Ledger", run_id: str) -> str:
    """The last line of a run's newest log, its error where it failed."""
    names = _log_names(ledger, run_id)
    lines = ledger.get(names[-1]).decode(errors="replace").strip().splitlines() if names else []
    return lines[-1].strip() if lines else "no log"


def _log_names(ledger: "Ledger", run_id: str) -> list[str]:
    return ledger.list(f"logs/{run_id}.")


def show(run: options.Run, results: options.Results = None) -> None:
    """Show one run: its metrics, times, provenance and configuration."""
    from study.cli.common import find_run
    from study.cli.run_view import print_run

    print_run(find_run(run, results))


def logs(
    run: options.Run,
    results: options.Results = None,
    all_attempts: Annotated[bool, typer.Option("--all", help="Every attempt, not only the newest.")] = False,
) -> None:
    """Print the log of one run."""
    from study.cli.common import NotFoundError, find_run

    found = find_run(run, results)
    names = _log_names(found.ledger, found.run_id)
    if not names:
        raise NotFoundError(f"run {found.run_id} has no log yet in {found.ledger.location}")
    for name in names if all_attempts else names[-1:]:
        typer.echo(found.ledger.get(name).decode(errors="replace"), nl=False)
