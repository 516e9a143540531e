"""`evaluate`: metrics that were not asked for at training time, of finished runs or of anybody's embeddings."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.cli import options
from study.cli.options import one_of
from trainables.errors import ConfigError

if TYPE_CHECKING:
    from study.evaluation import Evaluated
    from trainables.evaluation.files import ScoredFiles
    from trainables.ledger import Ledger

_SHOWN = 5
_ROUNDING = 5e-7


def evaluate(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="A results folder, a spec, or a study in `results/`.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="METRIC",
            help="recall_at_16, precision_at_10, r_precision, map_at_r, map, mrr, nmi, ami; label_distance_at_5 and "
            "ndcg_at_5 of continuous labels. May be repeated.",
        ),
    ] = None,
    k: Annotated[
        str | None, typer.Option("--k", metavar="K,...", help="16,32 is `-m recall_at_16 -m recall_at_32`.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KEY=VALUE", help="Runs that fit: method=arcface, seed=3; may be repeated."),
    ] = None,
    distance: Annotated[
        str | None,
        typer.Option(
            metavar="DISTANCE",
            callback=one_of("cosine", "euclidean", "lipschitz"),
            help="cosine, euclidean or lipschitz; by default each run's own, cosine for files.",
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option("--embeddings", metavar="FILE", help="Instead of a study: a .npy, .npz or .parquet file."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Its labels, .npy, .csv or .txt, where the file has none."),
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option("--gallery", metavar="FILE", help="Embeddings that those are searched in.")
    ] = None,
    gallery_labels: Annotated[
        Path | None, typer.Option("--gallery-labels", metavar="FILE", help="Labels of the gallery.")
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="FORMAT", callback=one_of("text", "json"), help="Of a file's metrics: text, json."
        ),
    ] = "text",
    results: options.Results = None,
    cache: options.Cache = None,
    plugin: options.Plugins = None,
) -> None:
    """Compute other metrics of all finished runs without training, or score embeddings from files."""
    metrics = _metrics(metric, k)
    chosen: Any = distance
    if embeddings is not None:
        if study is not None or only:
            raise ConfigError("--embeddings scores files alone: leave out STUDY and --only, or --embeddings")
        from trainables.evaluation.files import score_files
        from trainables.evaluation.names import DEFAULT_METRICS

        scored = score_files(
            *(embeddings, labels),
            gallery=gallery,
            gallery_labels=gallery_labels,
            metrics=metrics or DEFAULT_METRICS,
            distance=chosen or "cosine",
        )
        _print_scores(scored, format_)
        return
    if study is None:
        raise ConfigError("what is evaluated? name a STUDY, or a file with --embeddings")
    if named := [name for name, value in _files(labels, gallery, gallery_labels) if value is not None]:
        raise ConfigError(f"{named[0]} belongs to --embeddings: runs of a study have labels and gallery of their own")
    if not metrics:
        raise ConfigError("which metric? --metric map, or --k 16,32 for recall_at_16 and recall_at_32")
    _evaluate_study(study, metrics, only or (), distance=chosen, results=results, cache=cache, plugins=plugin or ())


def _metrics(named: list[str] | None, depths: str | None) -> list[str]:
    """
    Raises:
        ConfigError: an unknown metric, or a k that is no number.
    """
    from trainables.evaluation.names import metric_name

    texts = [text.strip() for text in (depths or "").split(",") if text.strip()]
    if wrong := [text for text in texts if not text.isdecimal() or int(text) < 1]:
        raise ConfigError(f"--k {depths}: '{wrong[0]}' is no number from 1 on, such as --k 16,32")
    metrics = [*(named or ()), *(f"recall_at_{int(text)}" for text in texts)]
    return [metric_name(text).text for text in dict.fromkeys(metrics)]


def _files(labels: Path | None, gallery: Path | None, gallery_labels: Path | None) -> list[tuple[str, Path | None]]:
    return [("--labels", labels), ("--gallery", gallery), ("--gallery-labels", gallery_labels)]


def _print_scores(scored: "ScoredFiles", format_: str) -> None:
    from dataclasses import asdict

    from analysis.metrics import describe

    if format_ == "json":
        typer.echo(json.dumps(asdict(scored), indent=1))
        return
    searched = "one another" if scored.gallery is None else f"a gallery of {scored.gallery}"
    typer.echo(
        f"{scored.queries} embeddings of {scored.dimensions} dimensions search {searched}: {scored.classes} classes, "
        f"{scored.distance} distance"
    )
    shown = {(found := describe(f"test_{name}")).label: found.text(value) for name, value in scored.metrics.items()}
    width = max(map(len, shown))
    for label, text in shown.items():
        typer.echo(f"  {label:{width}}  {text:>8}")


def _evaluate_study(
    study: str,
    metrics: Sequence[str],
    only: Sequence[str],
    *,
    distance: Any,
    results: str | None,
    cache: Path | None,
    plugins: Sequence[Path],
) -> None:
    from study.bars import DataBars
    from study.cli.common import cache_folder
    from study.cli.finding import open_ledger
    from study.evaluation import evaluate as evaluate_runs
    from trainables.plugins import load_plugins

    load_plugins(list(plugins))
    ledger = open_ledger(study, results)
    with DataBars() as bars:
        done = evaluate_runs(ledger, metrics, only=only, distance=distance, cache=cache_folder(cache), progress=bars)
    _print_evaluated(ledger, done)
    if done.done or done.present:
        from study.wording import results_argument

        shown = " ".join(f"-m {name}" for name in done.columns)
        typer.echo(f"next: `dml-study table {results_argument(ledger.location)} {shown}`")
    if done.failed or not (done.done or done.present):
        raise typer.Exit(1)


def _print_evaluated(ledger: "Ledger", done: "Evaluated") -> None:
    from collections import Counter

    from study.cli.finding import known_titles
    from study.wording import relative

    sources = ", ".join(f"{count} from {source}" for source, count in Counter(done.done.values()).most_common())
    parts = [f"evaluated {len(done.done)} runs{f' ({sources})' if sources else ''}"]
    parts += [f"{len(done.present)} had these metrics already"] if done.present else []
    parts += [f"{done.unfinished} are not complete yet"] if done.unfinished else []
    typer.echo(f"{'; '.join(parts)} -> {relative(ledger.location)}")
    if done.rounding > _ROUNDING:
        typer.echo(f"  metrics that the runs recorded came out the same up to {done.rounding:.1e}: rounding")
    titles = known_titles(ledger)
    if done.nothing_kept:
        _warn(f"{len(done.nothing_kept)} runs kept neither test embeddings nor weights", done.nothing_kept, titles)
        typer.echo(
            "  remedy: add `keep: {embeddings: test}` to the spec, take these runs out with "
            f"`dml-study invalidate {shlex.quote(str(relative(ledger.location)))} RUN ... --reason TEXT`, "
            "and `dml-study run` trains them again",
            err=True,
        )
    if done.unseen:
        _warn(f"{len(done.unseen)} runs never look at test classes (protocol.test)", done.unseen, titles)
    for run_id, reason in list(done.failed.items())[:_SHOWN]:
        _warn(reason, [run_id], titles)
    if len(done.failed) > _SHOWN:
        typer.echo(f"... and {len(done.failed) - _SHOWN} more runs could not be evaluated", err=True)


def _warn(text: str, run_ids: Sequence[str], titles: dict[str, str]) -> None:
    typer.secho(f"warning: {text}", fg="yellow", err=True)
    for run_id in run_ids[:_SHOWN]:
        typer.echo(f"  {run_id[:8]} {titles.get(run_id, '')}".rstrip(), err=True)
    if len(run_ids) > _SHOWN:
        typer.echo(f"  ... and {len(run_ids) - _SHOWN} more", err=True)
