"""One run in the foreground: its epochs as they come, its result beside what the ledger has."""

import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from study.cli.common import cache_folder, open_plan, results_folder
from study.cli.finding import FoundRun, NotFoundError, find_run, run_config
from trainables.ledger import Ledger
from trainables.ledger.folder import has_results
from trainables.ledger.places import Place

if TYPE_CHECKING:
    from trainables.config import RunConfig

_METRICS = ("val_map_at_r", "test_recall_at_1", "test_r_precision", "test_map_at_r")


def debug_run(prefix: str, *, results: Place | None, spec: str | None, cache: Path | None, pdb: bool) -> None:
    """Trains the run that `prefix` names; exits with 1 where it fails or differs from the ledger."""
    config, found = _find(prefix, results=results, spec=spec, cache=cache)
    parts = (config.dataset.title, config.loss.name, f"synthesis {config.synthesis.name}", f"seed {config.seed}")
    typer.echo(f"run {config.run_id()}: {', '.join(parts)}")
    row = _train(config, found, cache=cache_folder(cache), pdb=pdb)
    for key in _METRICS:
        if row.get(key) is not None:
            typer.echo(f"{key:18} {100 * row[key]:6.2f} %")
    if found is not None:
        _compare(row, found)


def _find(
    prefix: str, *, results: Place | None, spec: str | None, cache: Path | None
) -> tuple["RunConfig", FoundRun | None]:
    if spec is None:
        found = find_run(prefix, results)
        return run_config(found), found
    plan, _ = open_plan(spec, None, cache, results=results)
    tuned = (run for search in plan.searches for each in search.candidates for run in each.runs)
    runs = {**{run.run_id: run for run in tuned}, **plan.runs}
    matches = [run_id for run_id in runs if run_id.startswith(prefix)]
    if len(matches) != 1:
        number = "no run" if not matches else f"more than one run ({len(matches)})"
        raise NotFoundError(f"{number} of {spec} begins with '{prefix}'; `dml-study plan {spec}` lists them")
    folder = results_folder(results, plan.study)
    committed = has_results(folder)
    config = runs[matches[0]].config
    if config.strategy.sources and not committed:
        raise NotFoundError(
            f"run {matches[0]} needs what other runs keep, and {folder} has none; `dml-study run {spec}` trains them"
        )
    return config, FoundRun(matches[0], Ledger.open(folder)) if committed else None


def _train(config: "RunConfig", found: FoundRun | None, *, cache: Path, pdb: bool) -> dict[str, Any]:
    from trainables.memory import keep_freed_memory
    from trainables.training.session import Session, SessionOptions

    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="dml-study-debug-") as folder:
        ledger = Ledger.open(Path(folder) / "ledger", create=True)
        artifacts = found.ledger.get if found else None  # of the run that this one learns from
        options = SessionOptions(study="debug", cache=cache)
        session = Session(config, ledger=ledger, options=options, artifacts=artifacts)
        printed = 0
        try:
            while not session.done:
                session.unguarded_step()
                for line in session.lines[printed:]:
                    typer.echo(line)
                printed = len(session.lines)
        except Exception as error:
            traceback.print_exc()
            if pdb:
                import pdb as debugger

                debugger.post_mortem(error.__traceback__)
            raise typer.Exit(1) from error
        row: dict[str, Any] = ledger.read("runs").to_pylist()[0]
        return row


def _compare(row: dict[str, Any], found: FoundRun) -> None:
    commit = found.ledger.commits().get(found.run_id)
    if commit is None or commit.status != "complete":
        return
    committed = next(other for other in found.ledger.read("runs").to_pylist() if other["run_id"] == found.run_id)
    different = [key for key in _METRICS if row.get(key) != committed.get(key)]
    if not different:
        typer.echo("the ledger has the same metrics, bit for bit")
        return
    for key in different:
        typer.secho(f"the ledger has {key} = {committed[key]!r}, this run {row[key]!r}", fg="red", err=True)
    raise typer.Exit(1)
