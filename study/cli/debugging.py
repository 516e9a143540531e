"""`debug` and `reproduce`: one run in the foreground, its result beside what the ledger has."""

import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from study.cli.common import cache_folder, open_plan, results_folder
from study.cli.finding import FoundRun, NotFoundError, find_run, run_config
from trainables.ledger import Ledger
from trainables.ledger.folder import has_results
from trainables.ledger.places import Place

if TYPE_CHECKING:
    from study.comparison import Tables
    from trainables.config import RunConfig

_METRICS = ("val_map_at_r", "test_recall_at_1", "test_r_precision", "test_map_at_r")


def debug_run(prefix: str, *, results: Place | None, spec: str | None, cache: Path | None, pdb: bool) -> None:
    """Trains the run that `prefix` names; exits with 1 where it fails or differs from the ledger."""
    config, found = _find(prefix, results=results, spec=spec, cache=cache)
    parts = (config.dataset.title, config.loss.name, f"synthesis {config.synthesis.name}", f"seed {config.seed}")
    typer.echo(f"run {config.run_id()}: {', '.join(parts)}")
    trained = _train(config, found, cache=cache_folder(cache), pdb=pdb)
    row = trained.runs[0]
    for key in _METRICS:
        if row.get(key) is not None:
            typer.echo(f"{key:18} {100 * row[key]:6.2f} %")
    if found is not None and _is_complete(found):
        _compare(trained, found)


def reproduce_run(prefix: str, *, results: Place | None, cache: Path | None, plugins: Sequence[Path]) -> None:
    """Trains a complete run from its recorded configuration; exits with 1 where a metric differs.

    Raises:
        NotFoundError: no such run, or it is not complete.
    """
    from trainables.plugins import load_plugins

    load_plugins(list(plugins))
    found = find_run(prefix, results)
    if not _is_complete(found):
        raise NotFoundError(
            f"run {found.run_id} is not complete in {found.ledger.location}: there are no metrics to compare with; "
            f"`dml-study debug {found.run_id[:8]}` trains it in the foreground"
        )
    config = run_config(found)
    if config.run_id() != found.run_id:
        typer.secho(
            f"warning: this version of dml-study trains other numbers under this configuration, run {config.run_id()}",
            fg="yellow",
            err=True,
        )
    _compare(_train(config, found, cache=cache_folder(cache), pdb=False), found)


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


def _train(config: "RunConfig", found: FoundRun | None, *, cache: Path, pdb: bool) -> "Tables":
    from study.comparison import Tables
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
        return Tables.of(ledger, config.run_id())


def _is_complete(found: FoundRun) -> bool:
    commit = found.ledger.commits().get(found.run_id)
    return commit is not None and commit.status == "complete"


def _compare(trained: "Tables", found: FoundRun) -> None:
    from study.cli.views.comparison import report
    from study.comparison import Tables, compare

    report(compare(Tables.of(found.ledger, found.run_id), trained), title=f"run {found.run_id}")
