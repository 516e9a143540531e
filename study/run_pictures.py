"""What a run kept, as figures: the reading needs torch, the drawing does not."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.errors import DataError
from trainables.evaluation.neighbours import nearest
from trainables.export.embeddings import RunEmbeddings, run_embeddings
from trainables.export.embeddings_file import EmbeddingsFile
from trainables.export.kept_run import kept_run
from trainables.export.proxies import run_proxies
from trainables.export.synthetic import synthetic_rows
from trainables.ledger import Ledger

_ROWS, _NEIGHBOURS = 6, 7
"""Of a gallery."""
_CLASSES = 6
"""Of seen and of unseen ones in a map."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.plots.embedding_maps import EmbeddingGroup


def picture(ledger: Ledger, run_id: str, kind: str, *, projection: str, cache: Path) -> "Figure":
    """One figure of a run.

    Args:
        kind: proxies, map, gallery or confusion.
        projection: of the map: tsne or pca.
        cache: of decoded images and features.

    Raises:
        DataError: the run did not keep what it takes.
    """
    if kind == "map":
        return _map(ledger, run_id, projection, cache)
    makers: dict[str, Callable[[Ledger, str, Path], Figure]] = {
        "proxies": _proxies,
        "gallery": _gallery,
        "confusion": _confusion,
    }
    return makers[kind](ledger, run_id, cache)


def _proxies(ledger: Ledger, run_id: str, cache: Path) -> "Figure":
    from analysis.plots.similarity import proxy_similarity

    found = run_proxies(ledger, run_id, cache=cache)
    return proxy_similarity(found.weights, found.class_names, title="Class proxies", notes=[f"run {run_id}"])


def _map(ledger: Ledger, run_id: str, projection: Any, cache: Path) -> "Figure":
    """Training classes and test classes; where the loss has proxies, those of the classes that are drawn, and what
    proxy_synthesis would make of these."""
    from analysis.plots.embedding_maps import EmbeddingGroup, embedding_map

    parts = [run_embeddings(ledger, run_id, part=part, cache=cache).content for part in ("train", "test")]
    seen, unseen = (_some_classes(part) for part in parts)
    groups = [EmbeddingGroup(name, *rows) for name, rows in (("seen", seen), ("unseen", unseen))]
    groups += _proxy_groups(ledger, run_id, seen, cache)
    return embedding_map(groups, projection=projection, classes=_CLASSES, notes=[f"run {run_id}"])


Rows = tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...]]
"""Embeddings, labels, names of the classes."""


def _some_classes(part: EmbeddingsFile) -> Rows:
    """The embeddings of classes drawn at random."""
    found = np.unique(part.labels)
    drawn = np.random.default_rng(0).choice(found, size=min(_CLASSES, len(found)), replace=False)
    inside = np.isin(part.labels, drawn)
    return part.embeddings[inside], part.labels[inside], part.class_names


def _proxy_groups(ledger: Ledger, run_id: str, seen: Rows, cache: Path) -> "list[EmbeddingGroup]":
    from analysis.plots.embedding_maps import EmbeddingGroup

    try:
        proxies = run_proxies(ledger, run_id, cache=cache)
    except DataError:
        return []
    embeddings, labels, names = seen
    drawn = np.unique(labels)
    rows = proxies.weights[[proxies.class_names.index(names[label]) for label in drawn]]
    groups = [EmbeddingGroup("proxies of seen", np.concatenate(rows), np.repeat(drawn, rows.shape[1]), names)]
    places = np.array([proxies.class_names.index(names[label]) for label in labels])
    made = synthetic_rows(kept_run(ledger, run_id).config, embeddings, places, proxies)
    for name, points in zip(("synthetic", "proxies of synthetic"), made or (), strict=False):
        groups.append(EmbeddingGroup(name, points, np.zeros(len(points), dtype=np.int64), ("pairs of seen",)))
    return groups


def _gallery(ledger: Ledger, run_id: str, cache: Path) -> "Figure":
    """Test images drawn at random."""
    from analysis.plots.retrievals import Picture, retrieval_gallery

    test = run_embeddings(ledger, run_id, part="test", cache=cache)
    queries, searched = _searches(test)
    rows = np.random.default_rng(0).choice(queries, size=min(_ROWS, len(queries)), replace=False)
    found = _nearest(test, rows, searched, _NEIGHBOURS)

    def picture_of(row: int) -> Picture:
        image = test.images.images[test.positions[row : row + 1]][0]
        return Picture(np.asarray(image), test.content.class_names[test.content.labels[row]])

    neighbours = [[picture_of(int(each)) for each in line] for line in found]
    notes = [f"{len(rows)} test images drawn at random; run {run_id}, distance: {test.content.about['distance']}"]
    return retrieval_gallery([picture_of(int(row)) for row in rows], neighbours, notes=notes)


def _confusion(ledger: Ledger, run_id: str, cache: Path) -> "Figure":
    from analysis.plots.retrievals import class_confusion

    test = run_embeddings(ledger, run_id, part="test", cache=cache)
    queries, searched = _searches(test)
    first = [_nearest(test, part, searched, 1)[:, 0] for part in np.array_split(queries, 1 + len(queries) // 1000)]
    labels, found = test.content.labels[queries], test.content.labels[np.concatenate(first)]
    notes = [f"test classes of run {run_id}, distance: {test.content.about['distance']}"]
    return class_confusion(labels, found, test.content.class_names, notes=notes)


def _searches(test: RunEmbeddings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that search, and rows that are searched: a gallery where the dataset has one."""
    kinds = np.array(test.content.split)
    gallery = np.flatnonzero(kinds == "gallery")
    queries = np.flatnonzero(kinds != "gallery")
    return queries, gallery if len(gallery) else queries


def _nearest(test: RunEmbeddings, rows: NDArray[np.int64], searched: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    distance: Any = test.content.about["distance"]
    return nearest(torch.from_numpy(test.content.embeddings), rows, searched, k=k, distance=distance)
