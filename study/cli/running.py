"""`run`, `check`, `debug` and `reproduce`: everything that trains."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from study.launch import Summary
    from study.launch.gate import TimeLimit
    from study.plan import Plan, PlannedRun
    from trainables.ledger.places import Place
    from trainables.ledger.shards import Shard

OUT_OF_TIME = 75
"""As of a program whose caller is to try again."""
BUDGET_REACHED = 3


def run(
    spec: options.Spec,
    set_: options.Overrides = None,
    results: options.Results = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A Ray cluster, `auto` included: it gets this code; by default a private local Ray.",
        ),
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            callback=options.one_of("only-missing", "always", "only-cache"),
            help="only-missing; always: forget what there is and train again; only-cache: train nothing.",
        ),
    ] = "only-missing",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Failed runs are due again.")] = False,
    plugin: options.Plugins = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Train only these runs; may be repeated.")
    ] = None,
    stage: Annotated[
        str,
        typer.Option(
            metavar="STAGE",
            callback=options.one_of("tune", "confirm", "all"),
            help="tune: search settings and end; confirm: train what is chosen by now; all: both.",
        ),
    ] = "all",
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Train part I of N, beside the other parts: for job arrays that share one results folder.",
        ),
    ] = None,
    max_time: Annotated[
        str | None,
        typer.Option(
            "--max-time",
            metavar="TIME",
            help="End cleanly before this much time has passed: 90s, 45m, 23h50m, or 1-12:00:00 as Slurm writes it.",
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="Least time between two checkpoints of a run; 0 saves after every epoch."
        ),
    ] = 30.0,
    cache: options.Cache = None,
) -> None:
    """Train every run that the ledger does not have. The same command resumes, extends and repairs a study."""
    from study.cli.common import cache_folder, open_plan, results_folder
    from study.plan import due_runs

    limit = None if max_time is None else _time_limit(max_time)
    part = None if shard is None else _shard(shard)
    plan, text = open_plan(spec, set_, cache, plugin, results=results)
    due_runs(plan, {}, only=tuple(only or ()))  # refuses what fits no run before anything is written
    from study.launch import LaunchOptions, launch

    folder = results_folder(results, plan.study)
    launch_options = LaunchOptions(
        cache=cache_folder(cache),
        address=address,
        checkpoint_seconds=checkpoint_seconds,
        retry_failed=retry_failed,
        policy=policy,
        only=tuple(only or ()),
        stage=stage,
        limit=limit,
        shard=part,
    )
    _warn(plan)
    summary = launch(plan, results=folder, spec_text=text, options=launch_options)
    _report(summary, folder, stage=stage)
    if code := _exit_code(summary):
        raise typer.Exit(code)


def _time_limit(text: str) -> "TimeLimit":
    from study.durations import parse_duration
    from study.launch.gate import TimeLimit

    return TimeLimit(parse_duration(text, name="--max-time"))


def _shard(text: str) -> "Shard":
    from trainables.ledger.shards import Shard

    return Shard.parse(text)


def _exit_code(summary: "Summary") -> int:
    """Those of `study.cli.main`; where several apply, what a script has to look at first."""
    if summary.interrupted:
        return 130
    if summary.errors:
        return 1
    if summary.out_of_time and summary.left:
        return OUT_OF_TIME
    if summary.budget and summary.left:
        return BUDGET_REACHED
    return 1 if summary.failed or summary.hopeless else 0


def _warn(plan: "Plan") -> None:
    for warning in plan.warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)


def _report(summary: "Summary", folder: "Place", *, stage: str) -> None:
    from study.wording import relative, results_argument

    where, command = results_argument(folder), shlex.join(["dml-study", *sys.argv[1:]])
    retry = command if "--retry-failed" in sys.argv else f"{command} --retry-failed"
    state = [f"{summary.complete} of {summary.planned} runs complete", f"{summary.trained} trained now"]
    state += [f"{summary.adopted} taken from sibling studies"] if summary.adopted else []
    state += [f"{summary.failed} failed"] if summary.failed else []
    if summary.settings:
        failed = f", {summary.tune_failed} of their runs failed" if summary.tune_failed else ""
        pruned = f", {summary.tune_pruned} of their runs stopped early" if summary.tune_pruned else ""
        skipped = f", {summary.tune_skipped} of their runs not needed" if summary.tune_skipped else ""
        typer.echo(f"search: {summary.settings_done} of {summary.settings} settings finished{failed}{pruned}{skipped}")
    typer.echo(f"{', '.join(state)} -> {relative(folder)}")
    if summary.claims:
        spared = f"; {summary.spared} runs of further seeds not trained"
        typer.echo(f"claims: {summary.claims_settled} of {summary.claims} settled{spared if summary.spared else ''}")
    if summary.enlarged:
        typer.echo(f"packing: {summary.enlarged} runs ran out of GPU memory and were started again with a larger share")
    for error in summary.errors:
        typer.secho(f"error: {error.strip().splitlines()[-1]}", fg="red", err=True)
    if summary.out_of_time and summary.left:
        typer.echo("out of time: what was running is saved", err=True)
    if summary.budget and summary.left:
        typer.secho(summary.budget, fg="yellow", err=True)
    for title in summary.hopeless:
        typer.secho(f"error: no setting of '{title}' could be trained; `{retry}` tries again", fg="red", err=True)
    if summary.blocked:
        typer.echo(f"blocked: {summary.blocked} runs need a run that failed")
    searching = summary.settings_done < summary.settings
    if summary.left:
        left = str(summary.missing - summary.blocked)
        if searching:
            left = f"{summary.settings - summary.settings_done} settings to search, {left} runs of chosen cells"
        how = "" if summary.budget else f"; `{_without_stage(command, stage)}` goes on where this stopped"
        typer.echo(f"left: {left}{how}")
    elif summary.failed:
        typer.echo(f"`dml-study status {where}` says why; `{retry}` tries again")
    elif not summary.hopeless:
        typer.echo(f"next: `dml-study table {where}`, `dml-study plot {where}`")


def _without_stage(command: str, stage: str) -> str:
    """The command that does what a single stage left undone."""
    return command.replace(f" --stage {stage}", "").replace(f" --stage={stage}", "")


def check(
    spec: options.Spec,
    set_: options.Overrides = None,
    plugin: options.Plugins = None,
    cache: options.Cache = None,
) -> None:
    """Rehearse every cell: one tiny step and one tiny evaluation each, in this process, nothing written."""
    from study.bars import DataBars
    from study.cli.common import cache_folder, open_plan
    from study.launch.prepare import prepare_data
    from study.search import rehearsal
    from study.wording import run_titles
    from trainables.training.rehearsal import rehearse

    plan, _ = open_plan(spec, set_, cache, plugin, history=rehearsal())
    first = {cell.replicates[0].run_id: plan.runs[cell.replicates[0].run_id] for cell in plan.cells}
    titles = run_titles(plan.record()["cells"])
    failures: list[str] = []
    for corner, title in _corners(plan, failures):
        titles.setdefault(corner.run_id, title)
        first.setdefault(corner.run_id, corner)
    prepare_data(list(first.values()), cache=cache_folder(cache))
    needed = {source for run in plan.runs.values() for source in run.sources if source in plan.runs}
    sources = {run_id: plan.runs[run_id].config for run_id in needed}
    with DataBars() as bars:
        for done, (run_id, planned) in enumerate(first.items()):
            bars(done, len(first), "rehearsing cells")
            try:
                rehearse(planned.config, cache=cache_folder(cache), sources=sources)
            except Exception as error:  # noqa: BLE001 - whatever a cell raises is what this command reports
                failures.append(f"{titles[run_id]}: {type(error).__name__}: {error}")
    _warn(plan)
    for failure in failures:
        typer.secho(f"fails: {failure}", fg="red", err=True)
    ends = "" if not plan.searches else ", bounds of search spaces among them"
    typer.echo(
        f"{len(first) - len(failures)} of {len(first)} distinct cells pass{ends}; {_to_train(plan)} runs would train"
    )
    if failures:
        raise typer.Exit(1)


def _corners(plan: "Plan", failures: list[str]) -> "Iterator[tuple[PlannedRun, str]]":
    """A run at each end of every search space, with its title; what cannot stand together is a failure."""
    from trainables.errors import ConfigError

    for search in plan.searches:
        for params in search.cell.space.corners():
            shown = ", ".join(f"{key}={value}" for key, value in params.items())
            try:
                yield search.cell.runs(params)[0], f"{search.cell.title} at {shown}"
            except ConfigError as error:
                failures.append(f"{search.cell.title} at {shown}: {error}")


def _to_train(plan: "Plan") -> int:
    """Runs of both stages; a plan for a rehearsal has one setting of each search."""
    trials = plan.spec.tune_stage.trials
    return len(plan.runs) + sum(trials * search.cell.runs_per_setting for search in plan.searches)


def debug(
    run: options.Run,
    results: options.Results = None,
    spec: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Take the run from this spec instead of a results folder.")
    ] = None,
    cache: options.Cache = None,
    pdb: Annotated[bool, typer.Option("--pdb", help="Open the debugger where the run fails.")] = False,
) -> None:
    """Train one run in the foreground, without Ray and without writing to its ledger."""
    from study.cli.debugging import debug_run

    debug_run(run, results=results, spec=spec, cache=cache, pdb=pdb)


def reproduce(
    run: options.Run,
    results: options.Results = None,
    plugin: options.Plugins = None,
    cache: options.Cache = None,
) -> None:
    """Train a complete run again, without writing anything, and compare every metric with the ledger, bit by bit."""
    from study.cli.debugging import reproduce_run

    reproduce_run(run, results=results, cache=cache, plugins=plugin or ())
