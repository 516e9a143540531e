"""`init`, `schema` and `plan`: everything before a study starts. None of it loads torch, ray or pandas."""

import json
from pathlib import Path
from typing import Annotated

import typer

from study.cli import options


def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("study.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a commented spec to start from."""
    from study.cli.common import write_text
    from study.spec import starter
    from study.wording import spec_argument
    from trainables.errors import ConfigError

    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it, such as {path / 'study.yaml'}")
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; choose another name, or --force to replace it")
    write_text(path, starter(path.stem))
    name = spec_argument(path)
    typer.echo(f"wrote {path}\nnext: `dml-study plan {name}` shows what it trains, `dml-study run {name}` trains it")


def schema(
    path: Annotated[Path | None, typer.Argument(help="File to write; prints it by default.")] = None,
) -> None:
    """Write the JSON Schema of specs, for completion in editors."""
    from study.cli.common import write_text
    from study.spec import json_schema

    text = json.dumps(json_schema(), indent=2) + "\n"
    if path is None:
        typer.echo(text, nl=False)
        return
    write_text(path, text)
    typer.echo(f"wrote {path}\nnext: editors use it where a spec begins with `# yaml-language-server: $schema={path}`")


def plan(
    spec: options.Spec,
    set_: options.Overrides = None,
    plugin: options.Plugins = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="CELL", help="Where each value of a cell came from; its number, a part of its name, or `key=value`."
        ),
    ] = None,
    results: options.Results = None,
    cache: options.Cache = None,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Cells to list.")] = 40,
) -> None:
    """Show the cells and replicates of a study, what its ledger already has, and what the rest will cost."""
    from study.cli.common import open_plan, results_folder
    from study.cli.views.plan import print_explanation, print_plan
    from trainables.ledger import Ledger
    from trainables.ledger.folder import has_results

    planned, _ = open_plan(spec, set_, cache, plugin, results=results)
    if explain is not None:
        print_explanation(planned, explain)
        return
    folder = results_folder(results, planned.study)
    ledger = Ledger.open(folder) if has_results(folder) else None
    print_plan(planned, ledger, folder, limit=limit)
