"""`table` and `plot`: from ledgers to what a paper shows, finished study or not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from study.cli import options
from study.cli.options import Studies, one_of

if TYPE_CHECKING:
    from analysis import Results, Table
    from analysis.plots import PlotOptions

Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", "-m", metavar="METRIC", help="map_at_r, recall_at_2, ...; may be repeated."),
]
LIST = "list"
_ARRANGED, _SHOWN = "Rows and columns", "What is shown"
_FORMATS = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html-document", ".typ": "typst"}
_KEYS = "method, dataset, metric, study, readout, or a compared parameter such as synthesis.ratio"


def table(
    studies: Studies,
    metric: Metrics = None,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="KEY[,KEY...]", help=f"What names the rows, outermost first: {_KEYS}.", rich_help_panel=_ARRANGED
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="KEY[,KEY...]",
            help="What names the columns, in grouped headers. Keys in neither are added: dataset and metric here, "
            "others to the rows.",
            rich_help_panel=_ARRANGED,
        ),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            metavar="HEADER",
            callback=one_of("dataset", "metric"),
            help="Without --columns: what the upper header names, dataset or metric.",
            rich_help_panel=_ARRANGED,
        ),
    ] = "dataset",
    best: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="One row per method, its setting chosen by this validation metric: val_map_at_r.",
            rich_help_panel=_ARRANGED,
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="Best row first by this metric; else the spec's order.",
            rich_help_panel=_ARRANGED,
        ),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="Of several studies, show rows once that are the very same runs; else each study has its rows.",
            rich_help_panel=_ARRANGED,
        ),
    ] = False,
    show: Annotated[
        str,
        typer.Option(
            metavar="WHAT[,WHAT...]",
            help="What stands beside a mean: std, interval (95 % t-interval), n, delta (to the baseline); or mean.",
            rich_help_panel=_SHOWN,
        ),
    ] = "std,n,delta",
    mark: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            callback=one_of("best", "second", "none"),
            help="best: bold by significance; second: the second best underlined too; none.",
            rich_help_panel=_SHOWN,
        ),
    ] = "best",
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY[=VALUE]",
            help="A column of check marks: rows that have this parameter, part or value; may be repeated. Examples: "
            "synthesis, head.layer_norm, synthesis=memvir.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    with_published: Annotated[
        str | None,
        typer.Option(
            metavar="FILTER",
            help="Numbers of papers below, with their protocols: all, or KEY=VALUE[,...] as in `published`.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            callback=one_of(*_FORMATS.values(), "latex-document", "html"),
            help="markdown, latex, latex-document, html, html-document, typst or csv (with columns for the protocol); "
            "by default what the file's suffix says.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        options.output("FILE", "Write to this .md, .tex, .html, .typ or .csv file instead of the terminal."),
    ] = None,
) -> None:
    """Compare methods: mean and standard deviation over seeds, differences to baselines, bold by significance."""
    from analysis import comparison_table
    from study.cli.common import by_suffix
    from study.cli.finding import load_results

    format_ = format_ or by_suffix(output, _FORMATS)
    results = load_results(studies)
    built = comparison_table(
        results,
        metrics=metric,
        best=best,
        sort=sort,
        group="metric" if group == "metric" else "dataset",
        rows=_listed(rows),
        columns=_listed(columns),
        show=_listed(show) or (),
        mark=cast(Literal["best", "second", "none"], mark),
        check=check or (),
        studies="merged" if merge else "apart",
    )
    if with_published is not None:
        from analysis.publications import parse_filters
        from analysis.tables import with_published as quoting

        built = quoting(built, results, parse_filters(with_published.split(",")))
    _print(built, format_, output)


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _print(built: "Table", format_: str | None, output: Path | None) -> None:
    from analysis import render
    from analysis.tables import terminal
    from study.cli.common import console_out, print_or_write

    if format_ is None:
        console_out().print(terminal(built))
    else:
        print_or_write(render(built, format_), output)


def _known_kinds(kinds: list[str] | None) -> list[str] | None:
    from analysis.plots.registry import PLOTS
    from study.cli.drawing import EVERY

    check = one_of(*PLOTS, EVERY, LIST)
    for kind in kinds or ():
        check(kind)
    return kinds


def plot(
    studies: Studies,
    metric: Annotated[
        str, typer.Option("--metric", "-m", metavar="METRIC", help="map_at_r, recall_at_1, train_loss, ...")
    ] = "map_at_r",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            callback=_known_kinds,
            help="heatmap, curves, ...; may be repeated. all: every kind that the study has data for; list: says which "
            "those are, and draws nothing. By default heatmap and curves.",
        ),
    ] = None,
    x: Annotated[str | None, typer.Option(metavar="KEY", help="Compared parameter along the x axis.")] = None,
    y: Annotated[str | None, typer.Option(metavar="KEY", help="Compared parameter along the y axis.")] = None,
    show: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            callback=one_of("value", "difference"),
            help="value, or difference: to each method's baseline.",
        ),
    ] = "value",
    spread: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            callback=one_of("interval", "std"),
            help="What bands, bars and ± are: interval (95 %, of the mean) or std; by default each kind's own.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Draw only this method; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None,
        options.output(
            "PATH", "Folder, or one file; by default `<results>/plots`, `plots/<study>` for results with an address."
        ),
    ] = None,
) -> None:
    """Draw heatmaps, curves and comparisons of compared parameters and methods, as PDF and PNG."""
    from analysis.plots import PlotOptions
    from study.cli.common import folder_beside
    from study.cli.drawing import draw
    from study.cli.finding import load_results, open_ledger
    from study.wording import relative

    results = load_results(studies)
    options = PlotOptions(
        metric=metric,
        x=x,
        y=y,
        show="difference" if show == "difference" else "value",
        methods=tuple(method) if method else None,
        spread="interval" if spread == "interval" else "std" if spread == "std" else None,
    )
    if LIST in (kind or ()):
        _list_kinds(results, options)
        return
    folder = output or folder_beside(open_ledger(studies[0], None).location, results.sources[0].study, "plots")
    for file in draw(results, kind or (), options, folder):
        typer.echo(f"wrote {relative(file)}")


def _list_kinds(results: "Results", options: "PlotOptions") -> None:
    from study.cli.drawing import survey

    for name, summary, reason in survey(results, options):
        typer.echo(f"{name}: {summary}" + (f"\n  not here: {reason}" if reason else ""))
