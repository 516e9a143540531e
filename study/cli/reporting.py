"""`table` and `plot`: from ledgers to what a paper shows, finished study or not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from analysis import Results, Table

Studies = Annotated[list[str], typer.Argument(help="Results folders, or specs or names of studies in `results/`.")]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", "-m", help="map_at_r, recall_at_2, ...; may be repeated.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file instead of the terminal.")]


def table(
    studies: Studies,
    metric: Metrics = None,
    format_: Annotated[
        str | None, typer.Option("--format", "-f", help="markdown, latex, latex-document or csv; or the file's suffix.")
    ] = None,
    best: Annotated[
        str | None, typer.Option(help="One row per method, its setting chosen by this validation metric: val_map_at_r.")
    ] = None,
    sort: Annotated[str | None, typer.Option(help="Best row first by this metric; else the spec's order.")] = None,
    group: Annotated[str, typer.Option(help="What the upper header names: dataset or metric.")] = "dataset",
    output: Output = None,
) -> None:
    """Compare methods: mean and standard deviation over seeds, differences to baselines, bold by significance."""
    from analysis import comparison_table
    from trainables.errors import ConfigError

    if group not in {"dataset", "metric"}:
        raise ConfigError(f"--group {group}: should be dataset or metric")
    built = comparison_table(
        _load(studies), metrics=metric, best=best, sort=sort, group="metric" if group == "metric" else "dataset"
    )
    _print(built, format_ or _by_suffix(output), output)


def _load(studies: list[str]) -> "Results":
    import analysis
    from study.cli.common import open_ledger

    return analysis.load([open_ledger(study, None).location for study in studies])


def _by_suffix(output: Path | None) -> str | None:
    if output is None:
        return None
    return {".tex": "latex", ".csv": "csv", ".md": "markdown"}.get(output.suffix, "markdown")


def _print(built: "Table", format_: str | None, output: Path | None) -> None:
    from analysis import render

    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(render(built, format_ or "markdown"), encoding="utf-8")
        typer.echo(f"wrote {output}")
    elif format_ is not None:
        typer.echo(render(built, format_), nl=False)
    else:
        from rich.console import Console

        from analysis.tables import terminal

        Console().print(terminal(built))


def plot(
    studies: Studies,
    metric: Annotated[str, typer.Option("--metric", "-m", help="map_at_r, recall_at_1, train_loss, ...")] = "map_at_r",
    kind: Annotated[str, typer.Option(help="heatmap, curves, or all that the study has data for.")] = "all",
    x: Annotated[str | None, typer.Option(help="Parameter along the heatmap's x axis.")] = None,
    y: Annotated[str | None, typer.Option(help="Parameter along the heatmap's y axis.")] = None,
    show: Annotated[str, typer.Option(help="value, or difference: to each method's baseline.")] = "value",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder, or one file; `<results>/plots` by default.")
    ] = None,
) -> None:
    """Draw heatmaps of compared parameters and learning curves, as PDF and PNG."""
    from study.cli.common import open_ledger
    from study.cli.drawing import Wanted, draw

    results = _load(studies)
    folder = output or Path(open_ledger(studies[0], None).location) / "plots"
    for file in draw(results, Wanted(kind=kind, metric=metric, x=x, y=y, show=show), folder):
        typer.echo(f"wrote {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
