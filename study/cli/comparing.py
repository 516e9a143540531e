"""`compare`: what claims came to, a sentence for each."""

from pathlib import Path
from typing import Annotated

import typer

from study.cli import options

_FORMATS = {".md": "markdown", ".csv": "csv", ".json": "json", ".txt": "text"}


def compare(
    studies: options.Studies,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            "-c",
            metavar="CLAIM",
            help="'A > B on map_at_r', instead of the claims of the spec; may be repeated.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="METRIC",
            help="Compare every cell with its baseline on this metric, whatever is claimed; may be repeated.",
        ),
    ] = None,
    best: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="One setting per method and dataset, chosen by this validation metric: val_map_at_r."
        ),
    ] = None,
    negligible: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="POINTS", help="A difference that does not matter: an interval within it says equal."
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Error that all comparisons together may have.")
    ] = 0.05,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            callback=options.one_of(*_FORMATS.values()),
            help="text, markdown, csv or json; by default what the file's suffix says, else text.",
        ),
    ] = None,
    output: Annotated[
        Path | None, options.output("FILE", "Write to this .md, .csv, .json or .txt file instead.")
    ] = None,
) -> None:
    """Test the study's claims: a sentence for each comparison, why to doubt it, and how many more seeds it takes.

    Without claims, every method is compared with its baseline: an exploration, whose p-values are hints.
    """
    from analysis.claims import check_claims, render_claims
    from study.cli.common import by_suffix, print_or_write
    from study.cli.finding import load_results

    format_ = format_ or by_suffix(output, _FORMATS) or "text"
    report = check_claims(
        load_results(studies), claims=claim, metrics=metric, best=best, alpha=alpha, negligible=negligible
    )
    print_or_write(render_claims(report, format_), output)
