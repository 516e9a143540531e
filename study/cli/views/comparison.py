"""What comparing a run with itself has found, on a terminal."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from study.cli.common import console_out
from study.cli.views.columns import Column, print_columns

if TYPE_CHECKING:
    from study.comparison import Comparison, Difference

_SHOWN = 40


def report(found: "Comparison", *, title: str) -> None:
    """Says that all is the same, or lists what differs, the run's own metrics first, and ends with 1."""
    counts = ", ".join(f"{count} of {table}" for table, count in found.compared.items() if count)
    if not found.differences:
        typer.echo(f"{title}: the ledger has the same metrics, bit for bit ({counts})")
        return
    typer.secho(f"{title}: {len(found.differences)} values differ (compared: {counts})", fg="red", err=True)
    _print(found.differences)
    around = "; ".join(found.circumstances)
    typer.echo(f"what differs around them: {around or 'nothing that is on record: the code or the data changed'}")
    raise typer.Exit(1)


def _print(differences: "Sequence[Difference]") -> None:
    shown = differences[:_SHOWN]
    console = console_out()
    print_columns(
        console,
        [
            Column("table", [each.table for each in shown]),
            Column("row", [each.row for each in shown]),
            Column("metric", [each.name for each in shown]),
            Column("ledger", [_text(each.recorded) for each in shown], right=True),
            Column("now", [_text(each.repeated) for each in shown], right=True),
            Column("apart", ["" if math.isnan(each.size) else f"{each.size:.3g}" for each in shown], right=True),
        ],
    )
    if len(differences) > _SHOWN:
        largest = max((each for each in differences if not math.isnan(each.size)), key=lambda each: each.size)
        place = " ".join(filter(None, (largest.table, largest.row, largest.name)))
        console.print(f"... and {len(differences) - _SHOWN} more; the largest is {largest.size:.3g} ({place})")


def _text(value: float | None) -> str:
    return "none" if value is None else repr(value)
