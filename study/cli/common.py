"""Steps that several commands share: opening specs and plans, and writing where the user asked for it."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from study.bars import DataBars
from study.studies import find_spec
from trainables.errors import ConfigError
from trainables.ledger.places import Place, is_address, resolved

if TYPE_CHECKING:
    from rich.console import Console

    from study.plan import Plan
    from study.search import History

_UNLIMITED = 10_000


def console_out() -> "Console":
    """Standard output: as wide as the terminal, and without a limit in a pipe or a file."""
    from rich.console import Console

    limited = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if limited else _UNLIMITED)


def write_text(path: Path, text: str) -> None:
    """Writes a file that a user named; its folder is made.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another place") from error


def print_or_write(text: str, output: Path | None) -> None:
    """To a file where one was named, else to standard output."""
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)
        typer.echo(f"wrote {output}")


def by_suffix(output: Path | None, formats: Mapping[str, str]) -> str | None:
    """The format that a file's name asks for; None without a file.

    Raises:
        ConfigError: a suffix that stands for none.
    """
    if output is not None and output.suffix not in formats:
        known = ", ".join(formats)
        raise ConfigError(f"--output {output}: its suffix should be one of {known}, or --format says what to write")
    return None if output is None else formats[output.suffix]


def cache_folder(cache: Path | None) -> Path:
    """The chosen cache, or the user's."""
    from trainables.datasets.catalog import cache_folder as default

    return (cache or default()).expanduser().resolve()


def open_plan(
    spec: str,
    overrides: Sequence[str] | None = None,
    cache: Path | None = None,
    plugins: Sequence[Path] | None = None,
    *,
    results: Place | None = None,
    history: "History | None" = None,
) -> "tuple[Plan, str]":
    """The plan of a spec file or shipped study, and the file's text.

    Args:
        results: folder that searches and looks at claims are read from; the study's own by default.
        history: opens searches instead.
    """
    from study.plan import build_plan
    from study.spec import load_spec

    path = find_spec(spec)
    loaded = load_spec(path, overrides=tuple(overrides or ()), plugins=tuple(plugins or ()))
    if history is None and (loaded.needs_search or loaded.replication.until_settled):
        history = _history(results_folder(results, loaded.study))
    with DataBars() as bars:
        plan = build_plan(loaded, cache=cache_folder(cache), progress=bars, history=history)
    return plan, path.read_text(encoding="utf-8")


def _history(folder: Place) -> "History | None":
    from study.search import SearchHistory
    from trainables.ledger import Ledger
    from trainables.ledger.folder import has_results

    return SearchHistory(Ledger.open(folder)) if has_results(folder) else None


def results_folder(results: Place | None, study: str) -> Place:
    """The results folder of a study: an absolute path, or an address in an object store."""
    return resolved(results or Path("results") / study)


def folder_beside(location: str, study: str, name: str) -> Path:
    """For what a command makes of results: beside local ones, in a folder here for those of an object store."""
    return Path(name) / study if is_address(location) else Path(location) / name
