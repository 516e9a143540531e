"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Spec = Annotated[str, typer.Argument(help="The study's YAML file, or the name of a shipped study such as `demo`.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override a value of the spec, dotted; may be repeated."),
]
Results = Annotated[
    Path | None, typer.Option("--results", "-r", help="The study's results folder; `results/<study>` by default.")
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Decoded images and features; by default $DML_STUDY_CACHE or ~/.cache/dml-study."),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="Python file with parts of your own; may be repeated."),
]
Run = Annotated[str, typer.Argument(help="A run id, or the first digits of one.")]
