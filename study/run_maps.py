"""Maps of the embedding space that a run ended with: classes by colour, or past steps by colour."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainables.errors import DataError
from trainables.export.embeddings import run_embeddings
from trainables.export.embeddings_file import EmbeddingsFile
from trainables.export.kept_run import kept_run
from trainables.export.proxies import run_proxies
from trainables.export.synthetic import past_steps, synthetic_rows
from trainables.ledger import Ledger

_CLASSES = 6
"""Of seen and of unseen ones in a map of classes."""
_POINTS = 120
"""Of each step in a map of steps, embeddings and proxies."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.plots.networks.embedding_maps import EmbeddingGroup

Rows = tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...]]
"""Embeddings, labels, names of the classes."""


def class_map(ledger: Ledger, run_id: str, *, projection: Any, cache: Path) -> "Figure":
    """Training classes and test classes; where the loss has proxies, those of the classes that are drawn, and what the
    synthesis adds to them."""
    from analysis.plots.networks.embedding_maps import EmbeddingGroup, embedding_map

    parts = [run_embeddings(ledger, run_id, part=part, cache=cache).content for part in ("train", "test")]
    seen, unseen = (_some_classes(part) for part in parts)
    groups = [EmbeddingGroup(name, *rows) for name, rows in (("seen", seen), ("unseen", unseen))]
    groups += _proxy_groups(ledger, run_id, seen, cache)
    return embedding_map(groups, projection=projection, classes=_CLASSES, notes=[f"run {run_id}"])


def step_map(ledger: Ledger, run_id: str, *, projection: Any, cache: Path) -> "Figure":
    """Training images where the network has them now, and the virtual classes of past steps, coloured by their age.

    Raises:
        DataError: the run kept no past steps.
    """
    from analysis.plots.networks.embedding_maps import EmbeddingGroup, embedding_map

    kept = kept_run(ledger, run_id)
    past = past_steps(kept)
    if not past:
        raise DataError(
            f"run {run_id} (synthesis '{kept.config.synthesis.name}') kept no past steps: a run of 'memvir' keeps some "
            "beside its weights, after its warm-up; one of an older version does not: `dml-study invalidate` it"
        )
    now = run_embeddings(ledger, run_id, part="train", cache=cache).content.embeddings
    drawn = np.random.default_rng(0).choice(len(now), size=min(_POINTS, len(now)), replace=False)
    names = ["now", *(f"{step.age} step{'s' * (step.age > 1)} ago" for step in past)]
    present = np.concatenate(list(run_proxies(ledger, run_id, cache=cache).weights))
    rows = [("embeddings", [now[drawn], *(step.embeddings for step in past)])]
    rows += [("proxies", [present, *(step.proxies for step in past)])]
    groups = [
        EmbeddingGroup(name, np.concatenate(parts), _numbered(parts), names, ordered=True)
        for name, parts in rows
        if sum(map(len, parts[1:]))
    ]
    return embedding_map(groups, projection=projection, classes=len(names), points=_POINTS, notes=[f"run {run_id}"])


def _numbered(parts: list[NDArray[np.float32]]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _some_classes(part: EmbeddingsFile) -> Rows:
    """The embeddings of classes drawn at random."""
    found = np.unique(part.labels)
    drawn = np.random.default_rng(0).choice(found, size=min(_CLASSES, len(found)), replace=False)
    inside = np.isin(part.labels, drawn)
    return part.embeddings[inside], part.labels[inside], part.class_names


def _proxy_groups(ledger: Ledger, run_id: str, seen: Rows, cache: Path) -> "list[EmbeddingGroup]":
    from analysis.plots.networks.embedding_maps import EmbeddingGroup

    try:
        proxies = run_proxies(ledger, run_id, cache=cache)
    except DataError:
        return []
    embeddings, labels, names = seen
    drawn = np.unique(labels)
    rows = proxies.weights[[proxies.class_names.index(names[label]) for label in drawn]]
    groups = [EmbeddingGroup("proxies of seen", np.concatenate(rows), np.repeat(drawn, rows.shape[1]), names)]
    places = np.array([proxies.class_names.index(names[label]) for label in labels])
    made = synthetic_rows(kept_run(ledger, run_id), embeddings, places, proxies)
    if made is not None:
        added = ((f"{made.name}", made.embeddings), (f"{made.name} proxies", made.proxies))
        groups += [EmbeddingGroup(name, points, _one_class(points), (made.about,)) for name, points in added]
    return groups


def _one_class(points: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.zeros(len(points), dtype=np.int64)
