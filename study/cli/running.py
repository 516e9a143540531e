"""`run`, `check` and `debug`: everything that trains."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli import options

if TYPE_CHECKING:
    from study.launch import Summary
    from study.plan import Plan


def run(
    spec: options.Spec,
    set_: options.Overrides = None,
    results: options.Results = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Ray cluster, `auto` included; by default a private local Ray."),
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
    from study.plan import due_runs, refuse_search

    plan, text = open_plan(spec, set_, cache, plugin)
    refuse_search(plan)
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
    )
    _warn(plan)
    summary = launch(plan, results=folder, spec_text=text, options=launch_options)
    _report(summary, folder)
    if summary.interrupted:
        raise typer.Exit(130)
    if summary.failed or summary.errors:
        raise typer.Exit(1)


def _warn(plan: "Plan") -> None:
    for warning in plan.warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)


def _report(summary: "Summary", folder: Path) -> None:
    from study.wording import relative

    where, command = relative(folder), shlex.join(["dml-study", *sys.argv[1:]])
    retry = command if "--retry-failed" in sys.argv else f"{command} --retry-failed"
    state = [f"{summary.complete} of {summary.planned} runs complete", f"{summary.trained} trained now"]
    state += [f"{summary.adopted} taken from sibling studies"] if summary.adopted else []
    state += [f"{summary.failed} failed"] if summary.failed else []
    typer.echo(f"{', '.join(state)} -> {where}")
    for error in summary.errors:
        typer.secho(f"error: {error.strip().splitlines()[-1]}", fg="red", err=True)
    if summary.blocked:
        typer.echo(f"blocked: {summary.blocked} runs need a run that failed")
    if summary.missing > summary.blocked:
        typer.echo(f"left: {summary.missing - summary.blocked}; `{command}` goes on where this stopped")
    elif summary.failed:
        typer.echo(f"`dml-study status {where}` says why; `{retry}` tries again")
    else:
        typer.echo(f"next: `dml-study table {where}`, `dml-study plot {where}`")


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
    from study.wording import run_titles
    from trainables.training.rehearsal import rehearse

    plan, _ = open_plan(spec, set_, cache, plugin)
    first = {cell.replicates[0].run_id: index for index, cell in enumerate(plan.cells)}
    prepare_data([plan.runs[run_id] for run_id in first], cache=cache_folder(cache))
    needed = {source for run in plan.runs.values() for source in run.sources if source in plan.runs}
    sources = {run_id: plan.runs[run_id].config for run_id in needed}
    titles, failures = run_titles(plan.record()["cells"]), []
    with DataBars() as bars:
        for done, run_id in enumerate(first):
            bars(done, len(first), "rehearsing cells")
            try:
                rehearse(plan.runs[run_id].config, cache=cache_folder(cache), sources=sources)
            except Exception as error:  # noqa: BLE001 - whatever a cell raises is what this command reports
                failures.append(f"{titles[run_id]}: {type(error).__name__}: {error}")
    _warn(plan)
    for failure in failures:
        typer.secho(f"fails: {failure}", fg="red", err=True)
    typer.echo(f"{len(first) - len(failures)} of {len(first)} distinct cells pass; {len(plan.runs)} runs would train")
    if failures:
        raise typer.Exit(1)


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
