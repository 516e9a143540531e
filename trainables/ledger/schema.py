"""Columns of the ledger's tables. Adding a column keeps the version; changing or removing one raises it."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from trainables.ledger.names import Table

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1

_RETRIEVAL = ("recall_at_1", "r_precision", "map_at_r")
_SPLIT_METRICS = {f"{split}_{metric}": "double" for split in ("val", "test") for metric in _RETRIEVAL}
_KEY = {"run_id": "string", "attempt": "string"}

COLUMNS: dict[Table, dict[str, str]] = {
    "runs": {
        "schema_version": "int32",
        **_KEY,
        **dict.fromkeys(("status", "study", "stage", "dataset", "dataset_revision", "backbone"), "string"),
        "embedding_dim": "int32",
        **dict.fromkeys(("loss", "synthesis", "strategy"), "string"),
        "seed": "int64",
        **dict.fromkeys(("fold", "epochs", "epochs_trained", "selected_epoch"), "int32"),
        "fidelity": "double",
        "steps": "int64",
        **_SPLIT_METRICS,
        **{f"best_test_{metric}": "double" for metric in _RETRIEVAL},
        **dict.fromkeys(("final_train_loss", "train_seconds", "eval_seconds", "wall_seconds"), "double"),
        "images_per_second": "double",
        "peak_gpu_memory": "int64",
        **dict.fromkeys(("started_at", "ended_at"), "time"),
        "attempts": "int32",
        **dict.fromkeys(("host", "device", "device_name", "git_commit", "versions", "error", "origin"), "string"),
        "config": "string",
        "extra": "metrics",
    },
    "epochs": {
        **_KEY,
        "phase": "string",
        "epoch": "int32",
        "steps": "int64",
        **dict.fromkeys(("train_loss", "lr", "proxy_lr", "images_per_second"), "double"),
        **dict.fromkeys(("train_seconds", "eval_seconds"), "double"),
        **_SPLIT_METRICS,
        "extra": "metrics",
    },
    "classes": {
        **_KEY,
        "class_index": "int32",
        "class_name": "string",
        "images": "int32",
        **dict.fromkeys(_RETRIEVAL, "double"),
        "extra": "metrics",
    },
    "evaluations": {
        **_KEY,
        **dict.fromkeys(("distance", "source"), "string"),
        "evaluated_at": "time",
        **dict.fromkeys(("host", "device", "git_commit", "versions"), "string"),
        "extra": "metrics",
    },
}
"""Name and kind of every column; `time` is UTC in microseconds, `metrics` maps names to numbers."""

REQUIRED = ("run_id", "attempt", "status")
JSON_COLUMNS = ("config", "versions")


@cache
def arrow_schema(table: Table) -> "pa.Schema":
    """The explicit Arrow schema of a table."""
    import pyarrow as pa

    kinds = {
        "string": pa.string(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "time": pa.timestamp("us", tz="UTC"),
        "metrics": pa.map_(pa.string(), pa.float64()),
    }
    return pa.schema([pa.field(name, kinds[kind], name not in REQUIRED) for name, kind in COLUMNS[table].items()])


@cache
def program_version() -> str:
    """Version of the installed dml-study, for the files' metadata."""
    try:
        return version("dml-study")
    except PackageNotFoundError:
        return "unknown"
