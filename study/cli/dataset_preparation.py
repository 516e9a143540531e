"""`datasets prepare`: what it says while it works."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import typer

from study.bars import DataBars
from trainables.datasets.archives import ARCHIVES
from trainables.datasets.catalog import data_folders
from trainables.datasets.config import Benchmark, DatasetConfig
from trainables.datasets.preparation import prepare
from trainables.errors import ConfigError

__all__ = ["prepare_dataset"]


def prepare_dataset(
    config: DatasetConfig,
    *,
    search: Sequence[Path],
    sources: Sequence[Path],
    into: Path | None,
    missing: Literal["refuse", "download"],
    checksums: Literal["published", "any"],
) -> None:
    """Prepares a dataset and says where it is; see `trainables.datasets.preparation.prepare`.

    Raises:
        ConfigError: the dataset is not made of archives.
        DataError: it cannot be prepared of what is there.
    """
    if not isinstance(config, Benchmark):
        raise ConfigError(f"'{config.title}' is not made of official archives; known: {', '.join(sorted(ARCHIVES))}")
    place = (into or data_folders(None)[0]).expanduser().absolute()
    try:
        with DataBars() as bars:
            done = prepare(
                config,
                search=search,
                sources=[path.expanduser().absolute() for path in sources],
                into=place,
                missing=missing,
                checksums=checksums,
                progress=bars,
                tell=_tell,
            )
    except KeyboardInterrupt:
        _tell("stopped; the same command goes on with what was downloaded")
        raise
    verb = "is there and whole" if done.done == "found" else "is ready"
    typer.echo(f"{config.title} {verb}: {done.folder}{_path_needed(config, done.folder, search)}")


def _tell(message: str) -> None:
    typer.echo(message, err=True)


def _path_needed(config: Benchmark, folder: Path, search: Sequence[Path]) -> str:
    """What a study has to say where the folder is not found by itself."""
    if any((place / config.path).resolve() == folder.resolve() for place in search):
        return ""
    return f"; a study names it with path: {folder}"
