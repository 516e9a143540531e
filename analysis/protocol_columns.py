"""The protocol of single cells as columns, for tables that programs read."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from analysis.cells import UNTRAINED
from analysis.labels import enumeration, value_text
from analysis.loading import Results
from analysis.protocol import used_runs
from analysis.protocol_facts import CROPS, NETWORK, TRAINING, Config, at, precision
from analysis.protocol_sentences import told_of_one
from analysis.samples import CellKey

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIELDS", "cell_protocols"]


def _text(config: Config, *, path: str) -> str:
    return value_text(at(config, path))


_ALL: dict[str, Callable[[Config], str]] = {
    "image_size": partial(_text, path="dataset.image_size"),
    "crops": partial(told_of_one, CROPS),
    "backbone": partial(_text, path="backbone.name"),
    "weights_revision": lambda config: _revision(at(config, "backbone.weights_revision")),
    "precision": precision,
    "test": partial(_text, path="protocol.test"),
    "distance": partial(_text, path="protocol.distance"),
}
_TRAINED: dict[str, Callable[[Config], str]] = {
    "network": partial(told_of_one, NETWORK),
    "training": partial(told_of_one, TRAINING),
    "refit": partial(_text, path="protocol.refit"),
    **{key: partial(_text, path=f"protocol.{key}") for key in ("selection", "select_by", "validation_folds")},
    "partition": partial(_text, path="protocol.partition"),
}
FIELDS = (
    *("dataset_revision", "image_size", "crops", "backbone", "weights_revision", "embedding_dim", "network"),
    *("training", "precision", "selection", "select_by", "validation_folds", "partition", "folds", "refit"),
    *("test", "distance"),
)
"""What is said of a cell's protocol: in the words of a spec where these are names or numbers, else in those of the
protocol below printed tables."""


def cell_protocols(results: Results, cells: Iterable[CellKey]) -> dict[CellKey, Mapping[str, str]]:
    """The fields of every cell that has a finished run; values that differ between its runs stand side by side."""
    keys, rows = set(cells), results.replicates
    planned = rows[[key in keys for key in zip(rows["study"], rows["cell"], strict=True)]]
    configs = results.runs[["study", "run_id", "config"]]
    known = planned[planned["status"] == "complete"].merge(configs, on=["study", "run_id"], how="left")
    return {
        (str(study), int(str(cell))): _fields(members)
        for (study, cell), members in known.groupby(["study", "cell"], sort=False)
    }


def _fields(rows: "pd.DataFrame") -> dict[str, str]:
    configs = [run.config for run in used_runs(rows)]
    trained = [config for config in configs if at(config, "strategy.name") != UNTRAINED]
    embedded = rows[rows["strategy"] != UNTRAINED]  # without a head the width is that of the features
    values: dict[str, Iterable[str]] = {
        "dataset_revision": map(_revision, rows["dataset_revision"]),
        "embedding_dim": map(str, embedded["embedding_dim"].dropna().astype(int)),
        "folds": [str(max(1, rows["fold"].nunique()))],
        **{name: map(read, configs) for name, read in _ALL.items()},
        **{name: map(read, trained) for name, read in _TRAINED.items()},
    }
    return {name: enumeration(dict.fromkeys(filter(None, values[name]))) for name in FIELDS}


def _revision(value: object) -> str:
    """With a word before it: sixteen hexadecimal digits alone may be read as a number."""
    return f"revision {value}" if value_text(value) else ""
