"""`status`, `show` and `logs`: what a study and its runs are doing. None of it loads torch, ray or pandas."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from study.costs import Costs
    from trainables.ledger import Ledger
    from trainables.ledger.lease import Driver

_SHOWN = 20


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

    console = console_out()
    ledgers = _all_ledgers() if target is None and results is None else [open_ledger(target or "", results)]
    for ledger in ledgers:
        _print_study(console, _study(ledger))


def _all_ledgers() -> "list[Ledger]":
    from study.cli.finding import NotFoundError, studies
    from trainables.ledger import Ledger

    ledgers = [Ledger.open(folder) for folder in studies()]
    if not ledgers:
        raise NotFoundError("there is no study in results/; `dml-study run SPEC` starts one")
    return ledgers


@dataclass(frozen=True)
class _Study:
    """What `status` knows of one study: run ids with their titles, final states and last words."""

    ledger: "Ledger"
    plan: Mapping[str, Any]
    titles: Mapping[str, str]
    states: Mapping[str, str]
    searches: Sequence[str]
    drivers: "Sequence[Driver]"
    costs: "Costs"

    def running(self) -> dict[str, str]:
        """The newest attempt of each run that the present driver started; older ones were left behind by a kill."""
        from study.wording import epoch_text

        unfinished = self.titles.keys() - self.states.keys()
        return {live["run_id"]: epoch_text(live) for live in self.at_work() if live["run_id"] in unfinished}

    def at_work(self) -> list[dict[str, Any]]:
        """What attempts that the present drivers started said last."""
        generations = {driver.generation for driver in self.drivers}
        return [live for live in self.ledger.live() if int(live["attempt"].partition("_")[0]) in generations]

    def blocked(self) -> set[str]:
        """Runs that need one that failed, or one that is blocked itself."""
        from study.plan import blocked
        from study.wording import run_sources

        return blocked(run_sources(self.plan["cells"]), self.states)

    def failed(self) -> dict[str, str]:
        from study.wording import failure_reason

        failed = [run_id for run_id, state in self.states.items() if state == "failed"]
        tried = {run_id: self.costs.attempts(run_id) for run_id in failed}
        times = {run_id: f" (after {count} attempts)" if count > 1 else "" for run_id, count in tried.items()}
        return {run_id: failure_reason(self.ledger, run_id) + times[run_id] for run_id in failed}

    def time_left(self, blocked: Collection[str]) -> str:
        """By the timings of runs that ended, and how many are at work."""
        from study.cli.cost_view import time_left

        waiting = {run_id: 0.0 for run_id in self.titles if run_id not in self.states and run_id not in blocked}
        lives = [live for live in self.at_work() if live["run_id"] in waiting]
        waiting |= {live["run_id"]: min(1.0, live["epoch"] / live["epochs"]) for live in lives if live.get("epochs")}
        return time_left(self.costs, waiting, at_once=len({live["run_id"] for live in lives}))


def _study(ledger: "Ledger") -> _Study:
    from study.costs import read_costs
    from study.wording import run_titles
    from trainables.ledger.lease import holders

    plan, commits = ledger.read_plan(), ledger.commits()
    titles = run_titles(plan["cells"])
    searches: list[str] = []
    if plan.get("searches"):
        from study.cli.search_view import search_states
        from study.wording import search_titles

        titles = {**search_titles(plan["searches"], ledger), **titles}
        searches = search_states(plan["searches"], ledger, commits)
    states = {run_id: commit.status for run_id, commit in commits.items() if run_id in titles}
    return _Study(ledger, plan, titles, states, searches, holders(ledger), read_costs(ledger))


def _print_study(console: "Console", study: _Study) -> None:
    from study.cli.cost_view import cost_lines
    from study.cli.packing_view import retried_lines
    from study.wording import relative

    running, failed, counts = study.running(), study.failed(), Counter(study.states.values())
    blocked = study.blocked()
    waiting = len(study.titles) - len(study.states) - len(running) - len(blocked)
    parts = [f"{counts['complete']} done", f"{len(running)} running", f"{len(failed)} failed", f"{waiting} waiting"]
    parts += [f"{len(blocked)} blocked by a failed run that they need"] if blocked else []
    parts += [f"{counts['pruned']} pruned"] if counts["pruned"] else []
    where = relative(study.ledger.location)
    console.print(f"{study.plan['study']} in {where}: {len(study.titles)} runs", style="bold", markup=False)
    console.print(f"  {', '.join(parts)}")
    for search in study.searches:
        console.print(f"  {search}", markup=False)
    for line in _settling(study.plan):
        console.print(f"  {line}", markup=False)
    for line in filter(None, [*cost_lines(study.costs), study.time_left(blocked), *retried_lines(study.ledger)]):
        console.print(f"  {line}", markup=False)
    _print_runs(console, "running", running, study.titles)
    _print_runs(console, "failed", failed, study.titles)
    if failed:
        console.print(f"  `dml-study logs {next(iter(failed))[:8]}` has the whole error", markup=False)
    console.print(f"  {_at_work(study) or _next(study, counts, waiting)}", markup=False)


def _settling(plan: Mapping[str, Any]) -> list[str]:
    from study.cli.settling_view import settling_lines

    return list(settling_lines(plan["settling"])) if "settling" in plan else []


def _at_work(study: _Study) -> str:
    names = [f"process {driver.pid} on {driver.host}" for driver in study.drivers]
    if len(names) > 1:
        return f"{len(names)} shards are at work: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    return f"{names[0]} is at work (start {study.drivers[0].generation})" if names else ""


def _next(study: _Study, counts: Mapping[str, int], waiting: int) -> str:
    from study.cli.settling_view import due_for_a_look
    from study.wording import results_argument, spec_argument

    plan, where = study.plan, study.ledger.location
    run = f"dml-study run {spec_argument(plan['spec'])}"
    if waiting or any(map(_open, plan.get("searches", ()))) or due_for_a_look(plan, study.states):
        return f"nothing is at work; `{run}` goes on"
    return f"next: `{run} --retry-failed`" if counts["failed"] else f"next: `dml-study table {results_argument(where)}`"


def _open(search: Mapping[str, Any]) -> bool:
    """Whether settings of a search are still to be trained."""
    ended = sum(setting["state"] != "unfinished" for setting in search["settings"])
    return search["chosen"] is None and ended < int(search["trials"])


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
    from study.cli.run_view import print_run

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
