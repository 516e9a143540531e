"""What a worker on a node of a cluster finds there: the shipped code, its own cache and data, the driver's settings."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trainables.config import RunConfig
from trainables.datasets.storage import cache_folder
from trainables.plugins import load_plugins

PLUGINS = "_plugins"
"""Folder in the shipped package `trainables` that has the files of `--plugin`."""

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
"""A driver that sends nothing."""

_found: set[str] = set()
"""A worker trains many runs, and looks once."""
DATA_VARIABLE = "DML_STUDY_DATA"
_SETTINGS = ("DML_STUDY_CACHE", DATA_VARIABLE, "DML_STUDY_CACHE_LIMIT", "TORCH_HOME")
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_OBJECT_STORE = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION")


def travelling(environment: Mapping[str, str], *, object_store: bool) -> dict[str, str]:
    """The variables of a driver that its workers need, where a node has none of its own.

    Args:
        object_store: results lie there, so that its credentials are needed too.
    """
    names = (*_SETTINGS, *(_OBJECT_STORE + _CREDENTIALS if object_store else ()))
    found = {name: environment[name] for name in names if environment.get(name)}
    return found | (
        {DATA_VARIABLE: str(Path(found[DATA_VARIABLE]).expanduser().absolute())} if DATA_VARIABLE in found else {}
    )


def adopt(variables: Mapping[str, str]) -> None:
    """Sets the driver's variables that this process lacks; credentials go together or not at all."""
    own = any(os.environ.get(name) for name in _CREDENTIALS)
    for name, value in variables.items():
        if not (own and name in _CREDENTIALS):
            os.environ.setdefault(name, value)


def cache_here(cache: str | None) -> Path:
    """The cache that every node was told to use, or this node's own."""
    return Path(cache) if cache else cache_folder()


def plugins_here(plugins: Iterable[str]) -> list[Path]:
    """Plug-in files of this node: shipped ones are named relative to this package."""
    return [Path(__file__).parent / plugin for plugin in plugins]


def run_here(run: str, session: Mapping[str, Any]) -> RunConfig:
    """A run with its plug-ins loaded, and with this node's places of data where there are several nodes.

    Args:
        run: JSON of a `RunConfig`.
        session: what runs of the launch are told.
    """
    load_plugins(plugins_here(session["plugins"]))
    config = RunConfig.model_validate_json(run)
    return config if session["nodes"] == "one" else with_own_data(config, session["data"])


def with_own_data(run: RunConfig, driver_data: str | None) -> RunConfig:
    """The run with data from this node's $DML_STUDYDATA_VARIABLE, where the paths of the driver are not there.

    Args:
        driver_data: what $DML_STUDY_DATA names on the driver's machine.
    """
    own = os.environ.get(DATA_VARIABLE)
    if not driver_data or not own or own == driver_data:
        return run

    def found(path: str | None) -> str | None:
        if path is None or Path(path).exists() or not Path(path).is_relative_to(driver_data):
            return path
        here = Path(own).expanduser() / Path(path).relative_to(driver_data)
        return str(here) if here.exists() else path

    dataset, backbone = run.dataset, run.backbone
    if hasattr(dataset, "path"):
        dataset = dataset.model_copy(update={"path": found(dataset.path)})
    backbone = backbone.model_copy(update={"weights": found(backbone.weights)})
    return run.model_copy(update={"dataset": dataset, "backbone": backbone})


def require_data(run: RunConfig, *, cache: Path) -> None:
    """Makes sure that the run's images and weights are here and are those that it was planned with.

    Images that the cache does not have are decoded; whoever asks for the same ones waits.

    Raises:
        DataError: they are not; the run is not to blame.
    """
    from trainables.backbones.weights import check_revision
    from trainables.datasets.catalog import load_images

    needed = f"{run.dataset.model_dump_json()} {run.backbone.weights} {run.backbone.weights_revision} {cache}"
    if needed not in _found:
        load_images(run.dataset, cache=cache)
        check_revision(run.backbone)
        _found.add(needed)


def code_fingerprint(folders: Iterable[Path]) -> str:
    """A hash of the Python files below some packages' folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{folder.name}/{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
