"""`invalidate`: runs that no longer count."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli import options

if TYPE_CHECKING:
    from trainables.ledger import Ledger

_SHOWN = 20


def invalidate(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A results folder, a spec, or a study in `results/`.")],
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Run ids, or the first digits of them.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; goes on record.")] = "",
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,...",
            help="Runs that fit: `loss=arcface,seed=3`, `host=node7`; may be repeated, all have to fit.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    results: options.Results = None,
) -> None:
    """Mark runs so that they no longer count and are due again. Their rows are kept aside, with the reason."""
    from study.cli.finding import open_ledger
    from study.invalidation import dependents, fitting_runs
    from study.invalidation import invalidate as take_out
    from study.wording import relative, spec_argument
    from trainables.errors import ConfigError
    from trainables.ledger.lease import Lease

    if not reason.strip():
        raise ConfigError('--reason is missing: say why these runs do not count, such as --reason "wrong labels"')
    if not runs and not where:
        raise ConfigError("which runs? name their ids, or --where key=value")
    ledger = open_ledger(study, results)
    chosen = _named(ledger, runs or ())
    if where:
        fitting = fitting_runs(ledger, where)
        chosen = [run_id for run_id in fitting if not runs or run_id in chosen]
    if not chosen:
        raise ConfigError(f"no committed run fits --where {' '.join(where or ())}; `dml-study status` counts them")
    followers = dependents(ledger, chosen)
    _print(ledger, chosen, followers)
    if not yes:
        typer.confirm("Go on?", abort=True)
    with Lease(ledger):
        key = take_out(ledger, {*chosen, *followers}, reason=reason.strip(), where=where or ())
    typer.echo(f"done, on record in {key}")

    spec = ledger.read_plan()["spec"]
    typer.echo(f"next: `dml-study run {spec_argument(spec)}` trains them again -> {relative(ledger.location)}")


def _named(ledger: "Ledger", prefixes: Sequence[str]) -> list[str]:
    from study.cli.finding import NotFoundError

    found: list[str] = []
    for prefix in prefixes:
        fitting = [run_id for run_id in ledger.commits() if run_id.startswith(prefix)]
        if len(fitting) != 1:
            number = "no committed run" if not fitting else f"more than one run ({len(fitting)})"
            raise NotFoundError(f"{number} of {ledger.location} begins with '{prefix}'")
        found += fitting
    return found


def _print(ledger: "Ledger", chosen: Sequence[str], followers: Collection[str]) -> None:
    from study.cli.finding import known_titles

    commits, titles = ledger.commits(), known_titles(ledger)
    committed = [*chosen, *sorted(run_id for run_id in followers if run_id in commits)]
    for run_id in committed[:_SHOWN]:
        learnt = ", which learnt from one of these" if run_id in followers else ""
        title = titles.get(run_id, "no longer in the spec")
        typer.echo(f"  {run_id[:8]} {commits[run_id].status:8} {title}{learnt}")
    if len(committed) > _SHOWN:
        typer.echo(f"  ... and {len(committed) - _SHOWN} more")
    counts = Counter(commits[run_id].status for run_id in committed)
    states = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    typer.echo(f"{len(committed)} runs ({states}) will not count any more and be due again; their rows move aside")
