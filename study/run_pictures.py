"""What a run kept, as figures: the reading needs torch, the drawing does not."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.errors import DataError
from trainables.export.embeddings import run_embeddings
from trainables.export.proxies import run_proxies
from trainables.ledger import Ledger

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    makers: dict[str, Callable[[Ledger, str, Path], Figure]] = {"proxies": _proxies}
    return makers[kind](ledger, run_id, cache)


def _proxies(ledger: Ledger, run_id: str, cache: Path) -> "Figure":
    from analysis.plots.similarity import proxy_similarity

    found = run_proxies(ledger, run_id, cache=cache)
    return proxy_similarity(found.weights, found.class_names, title="Class proxies", notes=[f"run {run_id}"])


def _map(ledger: Ledger, run_id: str, projection: Any, cache: Path) -> "Figure":
    """Training classes, their proxies where the loss has some, and test classes."""
    from analysis.plots.embedding_maps import EmbeddingGroup, embedding_map

    groups = []
    for part, name in (("train", "seen"), ("test", "unseen")):
        content = run_embeddings(ledger, run_id, part="train" if part == "train" else "test", cache=cache).content
        groups.append(EmbeddingGroup(name, content.embeddings, content.labels, content.class_names))
    try:
        proxies = run_proxies(ledger, run_id, cache=cache)
    except DataError:
        return embedding_map(groups, projection=projection, notes=[f"run {run_id}"])
    count, centers, width = proxies.weights.shape
    rows = proxies.weights.reshape(count * centers, width)
    groups.append(EmbeddingGroup("proxies of seen", rows, np.repeat(np.arange(count), centers), proxies.class_names))
    return embedding_map(groups, projection=projection, notes=[f"run {run_id}"])
