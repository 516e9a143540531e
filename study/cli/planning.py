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
    from study.spec import starter
    from trainables.errors import ConfigError

    if path.exists() and not force:
        raise ConfigError(f"{path} exists; choose another name, or --force to replace it")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is no folder; create it first")
    path.write_text(starter(path.stem), encoding="utf-8")
    typer.echo(f"wrote {path}; see what it trains with `dml-study plan {path}`, then `dml-study run {path}`")


def schema(
    path: Annotated[Path | None, typer.Argument(help="File to write; prints it by default.")] = None,
) -> None:
    """Write the JSON Schema of specs, for completion in editors."""
    from study.spec import json_schema

    text = json.dumps(json_schema(), indent=2) + "\n"
    if path is None:
        typer.echo(text, nl=False)
        return
    path.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {path}; a spec's first line `# yaml-language-server: $schema={path}` makes editors use it")


def plan(
    spec: options.Spec,
    set_: options.Overrides = None,
    plugin: options.Plugins = None,
    explain: Annotated[
        str | None,
        typer.Option(metavar="CELL", help="Where each value of a cell came from; its number or `key=value,...`."),
    ] = None,
    results: options.Results = None,
    cache: options.Cache = None,
    limit: Annotated[int, typer.Option(help="Cells to list.")] = 40,
) -> None:
    """Show the cells and replicates of a study and what its ledger already has."""
    from study.cli.common import open_plan, results_folder
    from study.cli.plan_view import print_explanation, print_plan
    from trainables.ledger import Ledger

    planned, _ = open_plan(spec, set_, cache, plugin)
    if explain is not None:
        print_explanation(planned, explain)
        return
    folder = results_folder(results, planned.study)
    commits = Ledger.open(folder).commits() if (folder / "schema.json").is_file() else {}
    print_plan(planned, commits, folder, limit=limit)
