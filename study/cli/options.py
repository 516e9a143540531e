"""Arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer


def one_of(*known: str) -> Callable[[str | None], str | None]:
    """Checks an option's value; the message has the nearest spelling."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in known:
            from trainables.spelling import nearest

            raise typer.BadParameter(f"unknown value '{value}'; {nearest(value, list(known))}")
        return value

    return check


def output(metavar: str, description: str) -> Any:
    """The option `--output`, of a file or a folder."""
    return typer.Option("--output", "-o", metavar=metavar, help=description)


Studies = Annotated[
    list[str], typer.Argument(metavar="STUDY...", help="Results folders, specs, or names of studies in `results/`.")
]
Spec = Annotated[
    str, typer.Argument(metavar="SPEC", help="The study's YAML file, or the name of a shipped study such as `demo`.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override a value of the spec, dotted; may be repeated."),
]
Results = Annotated[
    str | None,
    typer.Option(
        "--results",
        "-r",
        metavar="FOLDER",
        help="The study's results folder, or its address: s3://bucket/folder; `results/<study>` by default.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="FOLDER",
        help="Decoded images and features; $DML_STUDY_CACHE or ~/.cache/dml-study by default.",
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="Python file with parts of your own; may be repeated."),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run id, or the first digits of one.")]
