"""Which dataset a command means: of the package, named by a spec or a shipped study, or images at a path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from study.spec.chain import read_chain
from study.spec.datasets import read_aliases
from study.spec.document import parse
from study.spec.errors import Problems
from study.studies import find_spec, shipped
from trainables.datasets.catalog import data_folders
from trainables.datasets.config import DATASETS, DatasetConfig
from trainables.errors import ConfigError
from trainables.spelling import nearest

__all__ = ["chosen_dataset", "shipped_datasets", "spec_datasets"]


def chosen_dataset(name: str, *, spec: str | None, settings: Sequence[str]) -> tuple[DatasetConfig, list[Path]]:
    """The configuration of a named dataset, and the folders in which its files are looked up.

    Args:
        name: as the spec calls it, of a part of the package, as a shipped study calls it where no spec is named, or the
            path of a folder, zip or CSV file of images.
        spec: YAML file or shipped study; None for datasets of the package and of the shipped studies.
        settings: `key=value` texts that change fields of the dataset.

    Raises:
        ConfigError: there is no such dataset, or a field cannot have the value.
    """
    file = None if spec is None else find_spec(spec)
    search = data_folders(None if file is None else file.absolute().parent)
    known = {part: {"name": part} for part in DATASETS}
    if file is not None:
        known |= spec_datasets(file)
    elif name not in known:
        known = shipped_datasets() | known
    values = known.get(name) or _at_path(name, search, known=list(known))
    values = values | dict(_setting(text) for text in settings)
    try:
        config = DATASETS[values["name"]].model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"dataset '{name}': {place}: {first['msg']}; --set {place or 'key'}=value changes it"
        raise ConfigError(message) from error
    assert isinstance(config, DatasetConfig)
    return config, search


def spec_datasets(file: Path) -> dict[str, dict[str, Any]]:
    """Fields of the datasets that a spec, and what it extends, gives a name of its own.

    Raises:
        SpecError: something in the file is wrong.
    """
    problems = Problems()
    aliases = read_aliases(read_chain(file, problems), problems)
    problems.raise_any()
    return {alias: {setting.path[0]: setting.value for setting in settings} for alias, settings in aliases.items()}


def shipped_datasets() -> dict[str, dict[str, Any]]:
    """Fields of the datasets that the shipped studies give a name of their own; the first study's of each name."""
    found: dict[str, dict[str, Any]] = {}
    for file in shipped().values():
        found = spec_datasets(file) | found
    return found


def _at_path(name: str, search: Sequence[Path], *, known: list[str]) -> dict[str, Any]:
    for place in (Path(name).absolute(), *(folder / name for folder in search)):
        if place.exists():
            return {"name": "image_folder", "path": str(place), "label": Path(name).stem}
    raise ConfigError(
        f"unknown dataset '{name}' and no such path; {_hint(name, known)}. Name the study of another one with --spec"
    )


def _hint(name: str, known: list[str]) -> str:
    """The closest name where one is close, and all of them."""
    every = f"known: {', '.join(sorted(known))}"
    hint = nearest(name, known)
    return every if hint == every else f"{hint} ({every})"


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: should be key=value, such as image_size=64")
    return key.strip(), parse(value, file="--set")[0]
