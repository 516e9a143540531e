"""What a run kept, as figures: the reading needs torch, the drawing does not."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.evaluation.neighbours import nearest
from trainables.export.embeddings import RunEmbeddings, run_embeddings
from trainables.export.proxies import run_proxies
from trainables.ledger import Ledger

_ROWS, _NEIGHBOURS = 6, 7
"""Of a gallery."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(ledger: Ledger, run_id: str, kind: str, *, projection: str, cache: Path) -> "Figure":
    """One figure of a run.

    Args:
        kind: proxies, map, steps, gallery or confusion.
        projection: of the maps: tsne or pca.
        cache: of decoded images and features.

    Raises:
        DataError: the run did not keep what it takes.
    """
    if kind in ("map", "steps"):
        from study.run_maps import class_map, step_map

        draw = class_map if kind == "map" else step_map
        return draw(ledger, run_id, projection=projection, cache=cache)
    makers: dict[str, Callable[[Ledger, str, Path], Figure]] = {
        "proxies": _proxies,
        "gallery": _gallery,
        "confusion": _confusion,
    }
    return makers[kind](ledger, run_id, cache)


def _proxies(ledger: Ledger, run_id: str, cache: Path) -> "Figure":
    from analysis.plots.networks.similarity import proxy_similarity

    found = run_proxies(ledger, run_id, cache=cache)
    return proxy_similarity(found.weights, found.class_names, title="Class proxies", notes=[f"run {run_id}"])


def _gallery(ledger: Ledger, run_id: str, cache: Path) -> "Figure":
    """Test images drawn at random."""
    from analysis.plots.networks.retrievals import Picture, retrieval_gallery

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
    from analysis.plots.networks.retrievals import class_confusion

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
