"""Exact Recall@k, R-precision and MAP@R, bounded in memory.

Every query ranks the gallery, itself left out by its index. Ties are broken against the query and regardless of order:
the j-th best relevant item has the rank `j + (wrong items that score at least as high)`. So a network that maps all
images to one point scores 0 where it has wrong items, not what the order of files happens to give.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.evaluation.ranking import rankings
from trainables.evaluation.scoring import Distance


@dataclass(frozen=True)
class Retrieval:
    """Metrics of one gallery.

    Attributes:
        metrics: `recall_at_<k>`, `r_precision`, `map_at_r` as fractions, means over the queries that count.
        per_class: the same means over the queries of each label, with "images", their number; labels without any query
            that counts are missing.
        queries: number of queries that count.
        excluded: queries left out, because no other image of their class is in the gallery.
    """

    metrics: dict[str, float]
    per_class: dict[int, dict[str, float]]
    queries: int
    excluded: int


def retrieval_metrics(
    embeddings: Tensor,
    labels: Tensor,
    *,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    distance: Distance = "cosine",
) -> dict[str, float]:
    """`retrieval_report(...).metrics`."""
    return retrieval_report(
        embeddings, labels, gallery=gallery, gallery_labels=gallery_labels, ks=ks, distance=distance
    ).metrics


@torch.no_grad()
def retrieval_report(
    embeddings: Tensor,
    labels: Tensor,
    *,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    distance: Distance = "cosine",
    chunk_elements: int | None = None,
) -> Retrieval:
    """Retrieval metrics of embeddings, on the device where they are.

    With R the number of relevant gallery items of a query (same label, not the query itself) and their ranks r_1 < ...
    < r_R: Recall@k is 1 if r_1 <= k; R-precision is the share of ranks up to R; MAP@R is the sum of j / r_j over the
    ranks up to R, divided by R (Musgrave et al., "A Metric Learning Reality Check", ECCV 2020).

    Args:
        embeddings: queries [Q, D]; half precision is widened to float32.
        labels: [Q], integers.
        gallery: [N, D]; by default the queries themselves, each without itself.
        gallery_labels: [N].
        ks: depths of Recall@k; a depth beyond the gallery is fine.
        distance: "cosine" normalizes; "euclidean" does not, and is computed in float64, since squared distances
            cancel; "lipschitz" is Euclidean between embeddings that are normalized where their norm exceeds 1.
        chunk_elements: bound on the scores held at once, the device's own by default; it does not change the result.

    Raises:
        ValueError: shapes that do not belong together, NaN or infinite embeddings, an unknown distance, a depth below
            1, or no query with a relevant item.
    """
    if any(k < 1 for k in ks):
        raise ValueError(f"depths of Recall@k start at 1: ks={list(ks)}")
    values, queries = [], []
    for ranking in rankings(
        *(embeddings, labels),
        gallery=gallery,
        gallery_labels=gallery_labels,
        first=max(ks, default=1),
        distance=distance,
        chunk_elements=chunk_elements,
    ):
        values.append(query_metrics(ranking.hits, ranking.ranks, ranking.first, ranking.relevant, ks))
        queries.append(ranking.queries)
    counted = torch.cat(queries).cpu()
    return averaged(
        metric_names(ks), torch.cat(values).cpu(), labels.cpu()[counted].long(), excluded=len(labels) - len(counted)
    )


def metric_names(ks: Sequence[int]) -> list[str]:
    """What the columns of `query_metrics` are."""
    return [*(f"recall_at_{k}" for k in ks), "r_precision", "map_at_r"]


def query_metrics(hits: Tensor, ranks: Tensor, first: Tensor, relevant: Tensor, ks: Sequence[int]) -> Tensor:
    """[..., b, len(ks) + 2] in float64, of b queries.

    Args:
        hits: [..., b, C] or [C], numbers j of relevant items.
        ranks: [..., b, C], their ranks r_j, at least j.
        first: [..., b], r_1.
        relevant: [b], R.
    """
    within = ranks <= relevant[:, None]
    precision = torch.where(within, hits.double() / ranks.double(), 0.0)
    columns = [(first <= k).double() for k in ks]
    return torch.stack([*columns, within.sum(dim=-1) / relevant.double(), precision.sum(dim=-1) / relevant], dim=-1)


def averaged(names: Sequence[str], values: Tensor, labels: Tensor, *, excluded: int) -> Retrieval:
    """Means of metrics [Q, M] over all queries and over those of each label."""
    known, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(known), len(names), dtype=torch.float64).index_add_(0, place, values)
    means = (sums / counts[:, None]).tolist()
    per_class = {
        label: {**dict(zip(names, row, strict=True)), "images": count}
        for label, row, count in zip(known.tolist(), means, counts.tolist(), strict=True)
    }
    metrics = dict(zip(names, values.mean(dim=0).tolist(), strict=True))
    return Retrieval(metrics, per_class, queries=len(labels), excluded=excluded)
