"""Any of the field's metrics of any embeddings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.evaluation.names import CLUSTERING, DEFAULT_METRICS, MetricName, metric_name
from trainables.evaluation.ranking import Ranking, check_set, rankings
from trainables.evaluation.scoring import PREPARED, Distance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Numbers = Tensor | ArrayLike

__all__ = ["score"]


@torch.no_grad()
def score(
    embeddings: "Numbers",
    labels: "Numbers",
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    gallery: "Numbers | None" = None,
    gallery_labels: "Numbers | None" = None,
    distance: Distance = "cosine",
) -> dict[str, float]:
    """Metrics of embeddings, by name, as fractions; each is a mean over the queries that have a relevant item.

    With R the number of relevant items of a query (same label, not the query itself) and r_1 < ... < r_R their ranks,
    ties broken against the query:

    - `recall_at_<k>`: 1 if r_1 <= k, the field's Recall@K (Jégou et al., 2011; Song et al., CVPR 2016).
    - `precision_at_<k>`: the share of relevant items among the first k.
    - `r_precision`, `map_at_r`: see `retrieval_report`.
    - `map`: the mean of j / r_j over all relevant items, mean average precision over the whole gallery.
    - `mrr`: 1 / r_1, mean reciprocal rank.
    - `nmi`, `ami`: normalized (by the arithmetic mean) and adjusted mutual information between labels and clusters of
      all embeddings by k-means++ (one start, seed 0), as many as there are labels. Euclidean, of embeddings as the
      distance sees them: normalized for cosine.

    Args:
        embeddings: queries [Q, D].
        labels: [Q], integers.
        metrics: names.
        gallery: [N, D]; by default the queries themselves, each without itself.
        gallery_labels: [N].
        distance: as of `retrieval_report`.

    Raises:
        ConfigError: an unknown metric.
        ValueError: as of `retrieval_report`; also a single class, among which nothing can be wrong, and metrics of
            continuous labels (see `label_report`).
    """
    names = [metric_name(name) for name in metrics]
    if wrong := [name.text for name in names if name.needs_targets]:
        raise ValueError(f"{wrong[0]} compares continuous labels: see `label_report`")
    vectors, classes = torch.as_tensor(embeddings), torch.as_tensor(labels)
    items, item_classes = (None if each is None else torch.as_tensor(each) for each in (gallery, gallery_labels))
    check_set("embeddings", vectors, classes)
    together = classes if item_classes is None else torch.cat([classes, item_classes.to(classes.device)])
    if bool((together == together[0]).all()):
        raise ValueError(f"all {len(together)} labels are {int(together[0])}: among one class nothing can be wrong")
    ranked = [name for name in names if name.kind not in CLUSTERING]
    found = _ranked(vectors, classes, items, item_classes, names=ranked, distance=distance) if ranked else {}
    if clustered := [name.text for name in names if name.kind in CLUSTERING]:
        everything = vectors if items is None else torch.cat([vectors, items.to(vectors)])
        found |= _clustered(everything, together, clustered, distance=distance)
    return {name.text: found[name.text] for name in names}


def _ranked(
    embeddings: Tensor,
    labels: Tensor,
    gallery: Tensor | None,
    gallery_labels: Tensor | None,
    *,
    names: Sequence[MetricName],
    distance: Distance,
) -> dict[str, float]:
    size, depths = len(embeddings if gallery is None else gallery), {name.kind: 1 for name in names}
    for name in names:
        depths[name.kind] = max(depths[name.kind], name.k or 1)
    chunks = [
        torch.stack([_values(ranking, name) for name in names], dim=1)
        for ranking in rankings(
            *(embeddings, labels),
            gallery=gallery,
            gallery_labels=gallery_labels,
            depth=None if "map" in depths else depths.get("precision", 1),
            first=size if "mrr" in depths else depths.get("recall", 1),
            distance=distance,
        )
    ]
    means = torch.cat(chunks).cpu().mean(dim=0).tolist()
    return dict(zip([name.text for name in names], means, strict=True))


def _values(ranking: Ranking, name: MetricName) -> Tensor:
    """[b] in float64."""
    ranks, total, k = ranking.ranks, ranking.relevant, name.k or 1
    if name.kind == "recall":
        return (ranking.first <= k).double()
    if name.kind == "precision":
        return (ranks <= k).sum(dim=1).double() / k
    if name.kind == "r_precision":
        return (ranks <= total[:, None]).sum(dim=1) / total.double()
    if name.kind == "mrr":
        return ranking.first.double().reciprocal()
    counted = ranks <= (total[:, None] if name.kind == "map_at_r" else torch.iinfo(torch.int64).max - 1)
    return torch.where(counted, ranking.hits.double() / ranks.double(), 0.0).sum(dim=1) / total


def _clustered(embeddings: Tensor, labels: Tensor, names: Sequence[str], *, distance: Distance) -> dict[str, float]:
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

    functions = {"nmi": normalized_mutual_info_score, "ami": adjusted_mutual_info_score}
    classes = labels.cpu().numpy()
    clusters = cluster(embeddings, len(np.unique(classes)), distance=distance)
    return {name: float(functions[name](classes, clusters)) for name in names}


def cluster(embeddings: Tensor, count: int, *, distance: Distance = "cosine") -> NDArray[np.int64]:
    """[N] Cluster of every embedding [N, D]; see `score`."""
    from sklearn.cluster import KMeans

    prepared = PREPARED[distance](embeddings).cpu().numpy()
    found: NDArray[np.int64] = KMeans(count, n_init=1, random_state=0).fit_predict(prepared).astype(np.int64)
    return found
