"""Metrics of a network on the validation or the test classes of a run's data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.evaluation import Retrieval, label_report, retrieval_report, score
from trainables.evaluation.names import MetricName
from trainables.evaluation.scoring import Distance
from trainables.training.data import RunData

CORE_METRICS = ("recall_at_1", "r_precision", "map_at_r")
"""Metrics with a column of their own; the rest goes to `extra`."""


@dataclass(frozen=True)
class Measured:
    """Metrics of one part of a dataset.

    Attributes:
        metrics: by name, means over the queries that count.
        per_class: the same for the queries of each class, with "images", their number.
    """

    metrics: dict[str, float]
    per_class: dict[int, dict[str, float]]


def measure(run: RunConfig, data: RunData, embeddings: Tensor, part: Literal["val", "test"]) -> Measured:
    """Metrics of a part's embeddings [N, D], by the run's distance and k values.

    Every image searches all others of its part; in the test part of a dataset with queries and a gallery of their own,
    the queries search the gallery.
    Those of continuous labels where the dataset has them, and those of classes where the part has several.

    Raises:
        ValueError: the embeddings diverged.
    """
    split, distance, targets = data.split, run.protocol.distance, data.images.targets
    positions, labels = (split.val, split.val_labels) if part == "val" else (split.test, split.test_labels)
    classes = torch.from_numpy(labels).to(embeddings.device)
    reports = []
    if targets is None or _has_rivals(labels):
        ks = sorted({1, *run.protocol.ks})
        searched = split.gallery if part == "test" else split.gallery[:0]
        reports.append(_retrieval(embeddings, classes, positions, searched, ks=ks, distance=distance))
    if targets is not None:
        ks = sorted({10, *run.protocol.label_ks})
        reports.append(label_report(embeddings, classes, targets.at(positions), ks=ks, distance=distance))
    return _together(reports)


def measure_also(
    run: RunConfig, data: RunData, embeddings: Tensor, metrics: Sequence[MetricName], *, distance: Distance
) -> dict[str, float]:
    """Other metrics of the test embeddings [N, D], under the protocol of `measure`, by name.

    Raises:
        ValueError: continuous labels that the dataset does not have; the rest as of `score` and `label_report`.
    """
    split, targets = data.split, data.images.targets
    found: dict[str, float] = {}
    classes = torch.from_numpy(split.test_labels).to(embeddings.device)
    if named := [name.text for name in metrics if not name.needs_targets]:
        queries, labels, items, item_labels = _sides(embeddings, classes, split.test, split.gallery)
        found |= score(queries, labels, metrics=named, gallery=items, gallery_labels=item_labels, distance=distance)
    if continuous := [name for name in metrics if name.needs_targets]:
        if targets is None:
            raise ValueError(f"{run.dataset.title} has no continuous labels for {continuous[0].text}")
        ks = sorted({name.k or 1 for name in continuous})
        found |= label_report(embeddings, classes, targets.at(split.test), ks=ks, distance=distance).metrics
    return {name.text: found[name.text] for name in metrics}


def _retrieval(
    embeddings: Tensor, labels: Tensor, positions: np.ndarray, gallery: np.ndarray, *, ks: list[int], distance: Distance
) -> Retrieval:
    queries, query_labels, items, item_labels = _sides(embeddings, labels, positions, gallery)
    return retrieval_report(queries, query_labels, gallery=items, gallery_labels=item_labels, ks=ks, distance=distance)


def _sides(
    embeddings: Tensor, labels: Tensor, positions: np.ndarray, gallery: np.ndarray
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Queries and what they search: images at `positions` one another, or those outside `gallery` those inside it."""
    if not len(gallery):
        return embeddings, labels, None, None
    inside = torch.from_numpy(np.isin(positions, gallery)).to(embeddings.device)
    return embeddings[~inside], labels[~inside], embeddings[inside], labels[inside]


def _has_rivals(labels: np.ndarray) -> bool:
    """Whether classes can be told apart at all: there are two or more, and one of them has two images."""
    counts = np.bincount(labels)
    return bool((counts > 0).sum() > 1 and counts.max() > 1)


def _together(reports: list[Retrieval]) -> Measured:
    metrics: dict[str, float] = {}
    per_class: dict[int, dict[str, float]] = {}
    for report in reports:
        metrics |= report.metrics
        for label, values in report.per_class.items():
            per_class[label] = {**values, **per_class.get(label, {})}
    return Measured(metrics, per_class)


def columns(prefix: str, metrics: dict[str, float]) -> dict[str, Any]:
    """Table columns for metrics: `val_map_at_r`, ..., and `extra` for those without a column."""
    named = {f"{prefix}_{key}": value for key, value in metrics.items()}
    core = {f"{prefix}_{key}" for key in CORE_METRICS}
    return {
        **{key: value for key, value in named.items() if key in core},
        "extra": {key: value for key, value in named.items() if key not in core},
    }


def class_rows(report: Measured, class_names: list[str]) -> list[dict[str, Any]]:
    """Rows of the `classes` table: the metrics of each test class's queries."""
    rows = []
    for label, metrics in sorted(report.per_class.items()):
        values = {key: value for key, value in metrics.items() if key != "images"}
        rows.append(
            {
                "class_index": label,
                "class_name": class_names[label],
                "images": int(metrics["images"]),
                **{key: values.get(key) for key in CORE_METRICS},
                "extra": {key: value for key, value in values.items() if key not in CORE_METRICS},
            }
        )
    return rows
