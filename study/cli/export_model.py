"""`export model` and `export embeddings`: one run, for whoever wants to use it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from study.cli import options
from study.cli.options import one_of

if TYPE_CHECKING:
    from study.cli.finding import FoundRun


def model(
    run: options.Run,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="A folder that is made; `<study>-<run>` by default."),
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="safetensors (for torch) or onnx; may be repeated, both by default.",
            callback=lambda values: values and [one_of("safetensors", "onnx")(value) for value in values],
        ),
    ] = None,
    results: options.Results = None,
    cache: options.Cache = None,
    plugin: options.Plugins = None,
) -> None:
    """Write the network of a run that kept its weights (keep.weights: selected), proven to embed as it did."""
    from study.cli.common import cache_folder
    from trainables.export import export_model

    found = _found(run, results, plugin)
    target = to or Path(_name(found))
    formats: Any = tuple(dict.fromkeys(format_ or ("safetensors", "onnx")))
    manifest = export_model(
        found.ledger,
        found.run_id,
        target=target,
        cache=cache_folder(cache),
        formats=formats,
        protocol=_protocol(found),
    )
    typer.echo(f"run {found.run_id} -> {target}: {', '.join(sorted((*manifest.files, 'model.json')))}")
    for name, parity in manifest.parity.items():
        typer.echo(
            f"  parity of {name}: {parity.images} test images, largest difference {parity.largest_difference:.2e} "
            f"({parity.relative:.1e} of the largest value, {parity.tolerance:.0e} allowed)"
        )


def embeddings(
    run: options.Run,
    split: Annotated[
        str,
        typer.Option(metavar="SPLIT", help="test, val or train.", callback=one_of("test", "val", "train")),
    ] = "test",
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="A file .npz or .parquet; `<study>-<run>-<split>.npz` by default."),
    ] = None,
    results: options.Results = None,
    cache: options.Cache = None,
    plugin: options.Plugins = None,
) -> None:
    """Write a run's embeddings with labels, class names and paths: those that it kept, or those of kept weights."""
    from study.cli.common import cache_folder
    from trainables.export.embeddings import export_embeddings

    found = _found(run, results, plugin)
    target, part = to or Path(f"{_name(found)}-{split}.npz"), _part(split)
    written = export_embeddings(found.ledger, found.run_id, part=part, target=target, cache=cache_folder(cache))
    rows, width = written.content.embeddings.shape
    typer.echo(f"run {found.run_id} -> {target}: {rows} {split} embeddings of {width} dimensions, {written.source}")
    for check in written.checks:
        same = check.exported == check.recorded
        verdict = "as in the ledger" if same else f"and {check.recorded:.6f} in the ledger: rounding"
        typer.echo(f"  {check.metric} of the file: {check.exported:.6f}, {verdict}")


def _found(run: str, results: str | None, plugins: list[Path] | None) -> "FoundRun":
    from study.cli.finding import find_run
    from trainables.plugins import load_plugins

    load_plugins(plugins or [])
    return find_run(run, results)


def _name(found: "FoundRun") -> str:
    folder = found.ledger.location.partition("?")[0].rstrip("/").rpartition("/")[2]
    return f"{folder}-{found.run_id[:8]}"


def _part(split: str) -> Any:
    return split


def _protocol(found: "FoundRun") -> str:
    """How the run's numbers were made; nothing for one that left the plan."""
    import analysis
    from analysis.protocol.notes import protocol_notes

    if not found.ledger.exists("plan.json"):
        return ""
    results = analysis.load(found.ledger.location)
    replicates = results.replicates
    return " ".join(protocol_notes(results, replicates[replicates["run_id"] == found.run_id]))
