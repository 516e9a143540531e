"""`plot-run`: pictures of one run's embedding space, from what it kept."""

from pathlib import Path
from typing import Annotated

import typer

from study.cli import options
from study.cli.options import one_of

KINDS = ("proxies", "map", "steps", "gallery", "confusion")


def plot_run(
    run: options.Run,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="proxies: cosines of class proxies. map: seen and unseen classes in the plane, and what "
            "the synthesis adds. steps: past steps of memvir there. gallery: queries with "
            "their neighbours. confusion: which classes are taken for which. "
            "May be repeated; by default all that the run kept enough for.",
        ),
    ] = None,
    projection: Annotated[
        str, typer.Option(metavar="NAME", callback=one_of("tsne", "pca"), help="Of maps: tsne or pca.")
    ] = "tsne",
    output: Annotated[Path | None, options.output("FOLDER", "By default `<results>/plots`.")] = None,
    results: options.Results = None,
    cache: options.Cache = None,
    plugin: options.Plugins = None,
) -> None:
    """Draw a run's class proxies, a map of its embeddings, retrievals and confusions, as PDF and PNG."""
    from analysis import plots
    from study.cli.common import cache_folder, folder_beside
    from study.cli.finding import find_run
    from study.run_pictures import picture
    from study.wording import relative
    from trainables.errors import DataError
    from trainables.plugins import load_plugins

    load_plugins(plugin or [])
    for name in kind or ():
        one_of(*KINDS)(name)
    found = find_run(run, results)
    folder = output or folder_beside(found.ledger.location, found.run_id[:8], "plots")
    reasons: dict[str, list[str]] = {}
    wanted = dict.fromkeys(kind or KINDS)
    for name in wanted:
        try:
            figure = picture(found.ledger, found.run_id, name, projection=projection, cache=cache_folder(cache))
        except DataError as reason:
            if kind:
                raise
            reasons.setdefault(str(reason), []).append(name)
            continue
        for file in plots.save(figure, folder / f"{name}-{found.run_id[:8]}"):
            typer.echo(f"wrote {relative(file)}")
    if list(reasons.values()) == [list(wanted)]:
        raise DataError(*reasons)
    for text, names in reasons.items():
        typer.echo(f"not drawn: {', '.join(names)}: {text}")
