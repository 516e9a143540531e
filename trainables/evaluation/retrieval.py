"""Exact Recall@k, R-precision and MAP@R, bounded in memory.

Every query ranks the gallery, itself left out by its index. Ties are broken against the query and regardless of order:
the j-th best relevant item has the rank `j + (wrong items that score at least as high)`. So a network that maps all
images to one point scores 0 where it has wrong items, not what the order of files happens to give.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from trainables.evaluation.scoring import Distance, scorer
from trainables.geometry import widened

_CHUNK_ELEMENTS = {"cpu": 2**24, "cuda": 2**27}


def held_at_once(vectors: Tensor) -> int:
    """Upper bound on queries x gallery scores: 64 MB in float32 on a CPU, where products of few rows are slow; 512 MB
    on a GPU, which less leaves idle."""
    return _CHUNK_ELEMENTS.get(vectors.device.type, _CHUNK_ELEMENTS["cpu"])


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
        depth=max(ks, default=1),
        distance=distance,
        chunk_elements=chunk_elements,
    ):
        values.append(_query_metrics(ranking.hits, ranking.ranks, ranking.relevant, ks))
        queries.append(ranking.queries)
    counted = torch.cat(queries).cpu()
    names = [*(f"recall_at_{k}" for k in ks), "r_precision", "map_at_r"]
    return averaged(names, torch.cat(values).cpu(), labels.cpu()[counted].long(), excluded=len(labels) - len(counted))


@dataclass(frozen=True)
class Ranking:
    """Where some queries find their relevant items.

    Attributes:
        queries: [b], their positions.
        hits: [b, C], number j of the relevant item at a candidate, counted from the nearest.
        ranks: [b, C], its rank r_j; out of reach, `int64`'s largest value, where the candidate is not relevant.
        relevant: [b], number R of relevant items.
    """

    queries: Tensor
    hits: Tensor
    ranks: Tensor
    relevant: Tensor


def rankings(
    embeddings: Tensor,
    labels: Tensor,
    *,
    gallery: Tensor | None,
    gallery_labels: Tensor | None,
    depth: int | None,
    distance: Distance,
    chunk_elements: int | None = None,
) -> Iterator[Ranking]:
    """Rankings of all queries that have a relevant item, in chunks; ranks up to R and `depth` are exact.

    Args:
        depth: None for the whole gallery; the rest as of `retrieval_report`.

    Raises:
        ValueError: as of `retrieval_report`.
    """
    _check_arguments(embeddings, labels, gallery=gallery, gallery_labels=gallery_labels, distance=distance)
    excludes_self = gallery is None
    items, item_labels = (
        embeddings if gallery is None else gallery,
        labels if gallery_labels is None else gallery_labels,
    )
    labels, item_labels = labels.to(embeddings.device).long(), item_labels.to(items.device).long()
    relevant = _relevant_counts(labels, item_labels) - int(excludes_self)
    queries = relevant.nonzero().squeeze(1)
    if not queries.numel():
        raise ValueError(f"none of the {labels.numel()} queries has another image of its class in the gallery")

    chunk_elements = chunk_elements or held_at_once(items)
    scores_of = scorer(items, distance)
    deepest = len(items) if depth is None else max(int(relevant.max()), depth, 1)
    for rows in torch.split(queries, max(1, chunk_elements // max(items.shape))):
        scores = scores_of(embeddings[rows])
        if excludes_self:
            scores[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
        hits, ranks = _ranks(scores, labels[rows], item_labels, deepest)
        del scores  # before the next ones are made
        yield Ranking(rows, hits, ranks, relevant[rows])


def _relevant_counts(labels: Tensor, item_labels: Tensor) -> Tensor:
    known, counts = torch.unique(item_labels, return_counts=True)
    place = torch.searchsorted(known, labels).clamp(max=known.numel() - 1)
    return torch.where(known[place] == labels, counts[place], 0)


def _ranks(scores: Tensor, labels: Tensor, item_labels: Tensor, depth: int) -> tuple[Tensor, Tensor]:
    """Number j and pessimistic rank of the relevant items among the best `depth` + 1; elsewhere the rank is infinite.

    Ranks up to `depth` are exact: a tie that goes on beyond the candidates is counted over the whole row.
    """
    values, index = scores.topk(min(depth + 1, scores.shape[1]), dim=1)
    relevant = (item_labels[index] == labels[:, None]) & (values > -torch.inf)
    end_of_tie = torch.searchsorted(-values, -values, right=True) - 1
    wrong = (~relevant).cumsum(dim=1).gather(1, end_of_tie)
    last = values[:, -1:]
    cut = ((values == last).sum(dim=1) > 1).nonzero().squeeze(1)
    if cut.numel():
        tied_or_better = (scores[cut] >= last[cut]) & (item_labels != labels[cut, None])
        wrong[cut] = torch.where(values[cut] == last[cut], tied_or_better.sum(dim=1, keepdim=True), wrong[cut])
    hits = relevant.cumsum(dim=1)
    return hits, (hits + wrong).masked_fill(~relevant, torch.iinfo(torch.int64).max)


def _query_metrics(hits: Tensor, ranks: Tensor, relevant: Tensor, ks: Sequence[int]) -> Tensor:
    """[b, len(ks) + 2] in float64."""
    first = ranks.min(dim=1).values
    within = ranks <= relevant[:, None]
    precision = torch.where(within, hits.double() / ranks.double(), 0.0)
    columns = [(first <= k).double() for k in ks]
    return torch.stack([*columns, within.sum(dim=1) / relevant.double(), precision.sum(dim=1) / relevant], dim=1)


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


def _check_arguments(
    embeddings: Tensor,
    labels: Tensor,
    *,
    gallery: Tensor | None,
    gallery_labels: Tensor | None,
    distance: str,
) -> None:
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("gallery and gallery_labels belong together: give both or neither")
    check_set("embeddings", embeddings, labels)
    if gallery is not None and gallery_labels is not None:
        check_set("gallery", gallery, gallery_labels)
        if gallery.shape[1] != embeddings.shape[1]:
            raise ValueError(f"embeddings {list(embeddings.shape)} and gallery {list(gallery.shape)} differ in D")
    if distance not in get_args(Distance):
        raise ValueError(f"unknown distance '{distance}'; known: {', '.join(get_args(Distance))}")


def check_set(name: str, vectors: Tensor, labels: Tensor) -> None:
    if vectors.ndim != 2 or labels.shape != vectors.shape[:1]:
        raise ValueError(f"expected {name} [N, D] with labels [N]; got {list(vectors.shape)}, {list(labels.shape)}")
    if vectors.shape[0] == 0:
        raise ValueError(f"{name} hold no rows")
    if labels.is_floating_point():
        raise ValueError(f"labels of {name} must be integers, not {labels.dtype}")
    if not torch.linalg.vector_norm(widened(vectors), dim=1).isfinite().all():
        raise ValueError(f"{name} hold NaN, infinite or overflowing values")
