"""`import`: runs that were trained elsewhere."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli import options

if TYPE_CHECKING:
    from study.importing import Disagreement, Imported
    from trainables.ledger import Ledger
    from trainables.ledger.places import Place

_SHOWN = 20


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="LEDGER", help="Another results folder, its address (s3://bucket/folder), or a zip or tar of one."
        ),
    ],
    into: Annotated[
        str | None,
        typer.Option(
            "--into",
            metavar="STUDY",
            help="A study in `results/` or a spec; by default the study of the same name. Its folder is made.",
        ),
    ] = None,
    results: options.Results = None,
) -> None:
    """Take over complete runs of another results folder; a spec that plans them does not train them again."""
    from study.importing import import_runs, opened
    from study.wording import results_argument
    from trainables.ledger import Ledger
    from trainables.ledger.lease import Lease
    from trainables.ledger.places import is_address, resolved

    place = resolved(source)
    with opened(place, tell=typer.echo) as other:
        ledger = Ledger.open(_target(other, into, results), create=True)
        with Lease(ledger, on_wait=typer.echo):
            done = import_runs(ledger, other, origin=source if is_address(source) else str(place))
    _print(done, ledger)
    if done.plan or ledger.exists("plan.json"):
        typer.echo(f"next: `dml-study table {results_argument(ledger.location)}`, or `dml-study run` with its spec")


def _target(other: "Ledger", into: str | None, results: str | None) -> "Place":
    """
    Raises:
        ConfigError: the other folder does not say which study it is, and neither does the user.
    """
    from study.cli.common import results_folder
    from study.cli.finding import NotFoundError, open_ledger
    from trainables.errors import ConfigError
    from trainables.ledger.places import is_address, resolved

    if results or (into and is_address(into)):
        return resolved(results or into or "")
    if into is None:
        if not other.exists("plan.json"):
            raise ConfigError(
                f"{other.location} has no plan, which names its study; say where with --into or --results"
            )
        return results_folder(None, str(other.read_plan()["study"]))
    try:
        return resolved(open_ledger(into, None).location)
    except NotFoundError:
        return _new_target(into)


def _new_target(into: str) -> "Place":
    """Where the study of a spec will have its results, or a new study of that name."""
    from pathlib import Path

    from study.cli.common import results_folder
    from study.spec import load_spec
    from study.studies import find_spec
    from trainables.errors import ConfigError

    try:
        return results_folder(None, load_spec(find_spec(into)).study)
    except ConfigError:
        path = Path(into)
        if path.suffix in (".yaml", ".yml"):
            raise
        return results_folder(path if len(path.parts) > 1 else None, into)


def _print(done: "Imported", ledger: "Ledger") -> None:
    from study.wording import relative

    kept = [f"{len(done.present)} were here already"] if done.present else []
    kept += [f"{len(done.invalidated)} were invalidated here and stay out"] if done.invalidated else []
    kept += [f"{count} {status} ones are left" for status, count in sorted(done.unfinished.items())]
    more = [f"settings of {done.searches} searches"] if done.searches else []
    more += ["the plan"] if done.plan else []
    taken = ", ".join([f"{len(done.taken)} runs", *more])
    typer.echo(f"imported {taken} -> {relative(ledger.location)}{'; ' if kept else ''}{', '.join(kept)}")
    _warn(done.disagreements)


def _warn(disagreements: "Sequence[Disagreement]") -> None:
    for each in disagreements[:_SHOWN]:
        more = f", and {each.more} more values differ" if each.more else ""
        typer.secho(
            f"warning: run {each.run_id} has {each.metric} {each.here!r} here and {each.there!r} there{more}; "
            "the one that is here stays",
            fg="yellow",
            err=True,
        )
    if len(disagreements) > _SHOWN:
        typer.secho(f"warning: ... and {len(disagreements) - _SHOWN} more runs", fg="yellow", err=True)
