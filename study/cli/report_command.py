"""`report`: one page about studies, for a co-author; or kept up to date while they run."""

from pathlib import Path
from typing import Annotated

import typer

from study.cli import options


def report(
    studies: options.Studies,
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", metavar="METRIC", help="Of the figures; by default what selects epochs."),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Write the page anew while a study runs; in a browser it reloads itself."),
    ] = False,
    every: Annotated[
        int, typer.Option(min=1, max=3600, metavar="SECONDS", help="With --live: how often the page is written.")
    ] = 10,
    output: Annotated[
        Path | None,
        options.output(
            "FILE", "By default `<results>/report.html`, `report/<study>.html` for results with an address."
        ),
    ] = None,
) -> None:
    """Write one HTML page: question, table, claims, figures, every cell's curve, failures, provenance, commands.

    It needs no other file and no network; its table can be sorted and filtered.
    """
    from study.cli.report_live import keep_writing
    from study.cli.report_writing import ReportWriter
    from study.wording import relative

    writer = ReportWriter(studies, metric=metric, target=output)
    if live:
        keep_writing(writer, every=every)
    else:
        writer.write()
        typer.echo(f"wrote {relative(writer.target.resolve())} ({writer.size_text})")
