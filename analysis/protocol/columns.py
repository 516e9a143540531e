"""The protocol of single cells as columns, for tables that programs read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from analysis.cells import UNTRAINED, CellKey
from analysis.labels import enumeration, is_missing, value_text
from analysis.loading import Results
from analysis.loading.widening import rows_of
from analysis.protocol.facts import CROPS, NETWORK, TRAINING, Config, at, precision
from analysis.protocol.notes import distinct_runs
from analysis.protocol.sentences import told_of_one

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
    planned = rows[[key in keys for key in rows_of(rows, "study", "cell")]]
    configs = results.runs[["study", "run_id", "config"]]
    known = planned[planned["status"] == "complete"].merge(configs, on=["study", "run_id"], how="left")
    members: dict[CellKey, list[_Run]] = {}
    known = known.astype({"embedding_dim": object})
    for study, cell, *run in rows_of(known, "study", "cell", *_Run._fields):
        members.setdefault((str(study), int(cell)), []).append(_Run(*run))
    return {key: _fields(runs) for key, runs in members.items()}


class _Run(NamedTuple):
    """What is asked of a run: plain values, since data frames of single cells are slow."""

    dataset: str
    method: str
    config: str | None
    fold: float | None
    strategy: str | None
    embedding_dim: float | None
    dataset_revision: str | None


def _fields(runs: Sequence[_Run]) -> dict[str, str]:
    texts = [(run.dataset, run.method, str(run.config)) for run in runs if not is_missing(run.config)]
    configs = [run.config for run in distinct_runs(texts)]
    trained = [config for config in configs if at(config, "strategy.name") != UNTRAINED]
    embedded = [run.embedding_dim for run in runs if run.strategy != UNTRAINED]  # else the width is the features'
    values: dict[str, Iterable[str]] = {
        "dataset_revision": (_revision(run.dataset_revision) for run in runs),
        "embedding_dim": (f"{width:.0f}" for width in embedded if width is not None and not is_missing(width)),
        "folds": [str(max(1, len({run.fold for run in runs if not is_missing(run.fold)})))],
        **{name: map(read, configs) for name, read in _ALL.items()},
        **{name: map(read, trained) for name, read in _TRAINED.items()},
    }
    return {name: enumeration(dict.fromkeys(filter(None, values[name]))) for name in FIELDS}


def _revision(value: object) -> str:
    """With a word before it: sixteen hexadecimal digits alone may be read as a number."""
    return f"revision {value}" if value_text(value) else ""
