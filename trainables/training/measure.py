"""Retrieval metrics of a network on some classes of a run's data."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.evaluation import Retrieval, retrieval_report

CORE_METRICS = ("recall_at_1", "r_precision", "map_at_r")
"""Metrics with a column of their own; the rest goes to `extra`."""


def measure(run: RunConfig, embeddings: Tensor, labels: np.ndarray) -> Retrieval:
    """Metrics of embeddings [N, D] with query = gallery, by the run's distance and k values.

    Raises:
        ValueError: the embeddings diverged.
    """
    ks = tuple(sorted({1, *run.protocol.ks}))
    return retrieval_report(
        embeddings, torch.from_numpy(labels).to(embeddings.device), ks=ks, distance=run.protocol.distance
    )


def columns(prefix: str, metrics: dict[str, float]) -> dict[str, Any]:
    """Table columns for metrics: `val_map_at_r`, ..., and `extra` for those without a column."""
    named = {f"{prefix}_{key}": value for key, value in metrics.items()}
    core = {f"{prefix}_{key}" for key in CORE_METRICS}
    return {
        **{key: value for key, value in named.items() if key in core},
        "extra": {key: value for key, value in named.items() if key not in core},
    }


def class_rows(report: Retrieval, class_names: list[str]) -> list[dict[str, Any]]:
    """Rows of the `classes` table: the metrics of each test class's queries."""
    rows = []
    for label, metrics in sorted(report.per_class.items()):
        values = {key: value for key, value in metrics.items() if key != "images"}
        rows.append(
            {
                "class_index": label,
                "class_name": class_names[label],
                "images": int(metrics["images"]),
                **{key: values[key] for key in CORE_METRICS},
                "extra": {key: value for key, value in values.items() if key not in CORE_METRICS},
            }
        )
    return rows
