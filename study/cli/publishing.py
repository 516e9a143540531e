"""`dml-study published`: what papers report, with sources."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from study.cli.options import one_of

_SOURCES = ("ps-readme", "memvir-readme")


def published(
    filters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="method, base_loss, dataset, backbone, embedding_dim, setting, metric, source or selection; a key "
            "that is given twice takes both values.",
        ),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, with citations and remarks in full.")] = False,
    as_study: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the runs that a README lists as a results folder for `table` and `plot` instead.",
        ),
    ] = None,
    runs_of: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            callback=one_of(*_SOURCES),
            help="With --as-study: ps-readme (Cars-196, 8 runs each) or memvir-readme (5 runs).",
        ),
    ] = "ps-readme",
) -> None:
    """List published results, in percent as printed; `table --with-published` quotes them below a study's own."""
    from analysis.publications import choose, parse_filters

    if as_study is not None:
        import analysis

        typer.echo(f"wrote {analysis.write_published_runs(as_study, runs_of)}; `dml-study table {as_study}` shows it")
        return
    records = choose(parse_filters(filters or []))
    _print_csv(records) if csv else _print(records)


def _print_csv(records: Sequence[Mapping[str, str]]) -> None:
    import csv
    import sys

    writer = csv.DictWriter(sys.stdout, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)


def _print(records: Sequence[Mapping[str, str]]) -> None:
    from study.cli.common import console_out
    from study.cli.views.columns import Column, print_columns

    def column(heading: str, texts: list[str], *, right: bool = False) -> Column:
        return Column(heading, texts, right)

    names = ("method", "base_loss", "dataset", "backbone", "embedding_dim", "setting", "metric")
    columns = [column(name, [record[name] for record in records]) for name in names]
    values = [f"{record['mean']}{' ± ' + record['std'] if record['std'] else ''}" for record in records]
    sources = [f"{record['citation']}, {record['place']}" for record in records]
    print_columns(
        console_out(),
        [
            *(each for each in columns if any(each.texts)),
            column("value", values, right=True),
            column("runs", [record["runs"] for record in records], right=True),
            column("epoch by", [record["selection"] for record in records]),
            column("source", sources),
        ],
    )
    typer.echo(f"\n{len(records)} numbers")
