"""Retrieval metrics of several sets of embeddings of the same images, in as many operations as those of one set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.devices import sent
from trainables.evaluation.retrieval import metric_names, query_metrics
from trainables.evaluation.scoring import PREPARED, Distance, hashes, held_at_once
from trainables.geometry import widened

__all__ = ["stacked_metrics"]


@torch.no_grad()
def stacked_metrics(
    embeddings: Tensor,
    labels: NDArray[np.int64],
    *,
    ks: Sequence[int],
    distance: Distance,
    chunk_elements: int | None = None,
) -> list[dict[str, float] | None]:
    """`retrieval_report(...).metrics` of M sets of embeddings that search themselves, up to rounding.

    The ranks are the same: every relevant item stands behind all wrong ones that score at least as high. Of those no
    more than the `depth` best are looked at, the largest rank that any metric asks for.

    Args:
        embeddings: [M, N, D]; a set's numbers do not depend on the others.
        labels: [N], integers.
        ks: depths of Recall@k.
        chunk_elements: bound on the scores held at once, the device's own by default.

    Returns:
        M metrics; None for sets that `retrieval_report` has to look at, which are not finite, or whose rows are nearly
        equal. All None where no query has a relevant item.
    """
    of = _Searches.among(labels, embeddings.device)
    if not len(of.queries):
        return [None] * len(embeddings)
    prepared = PREPARED[distance](widened(embeddings))
    first, sound = _first_equal(prepared)
    sound &= torch.linalg.vector_norm(embeddings.to(prepared.dtype), dim=2).isfinite().all(dim=1)
    if distance != "cosine":
        prepared = prepared.double()
    at_once = (chunk_elements or held_at_once(prepared)) // (len(prepared) * max(prepared.shape[1:]))
    values = []
    for rows in torch.split(of.queries, max(1, at_once)):
        # Matrix products round equal columns differently; equal items score what the first of them does.
        scores = _scores(prepared, rows, distance).gather(2, first[:, None].expand(-1, len(rows), -1))
        values.append(_metrics(scores, rows, of, ks))
    names = metric_names(ks)
    found = torch.cat([torch.cat(values, dim=1).mean(dim=1), sound[:, None]], dim=1).tolist()
    return [dict(zip(names, means, strict=True)) if known else None for *means, known in found]


@dataclass(frozen=True)
class _Searches:
    """What every image has to find.

    Attributes:
        most: the largest number of relevant items.
        labels: [N].
        queries: images that have a relevant item.
        relevant: [N], number R of relevant items.
        alike: [N, C], the images of an image's class, filled up to the size of the largest class.
        counted: [N, C], which of them are there and not the image itself.
    """

    most: int
    labels: Tensor
    queries: Tensor
    relevant: Tensor
    alike: Tensor
    counted: Tensor

    @classmethod
    def among(cls, labels: NDArray[np.int64], device: torch.device) -> "_Searches":
        _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        order, starts = np.argsort(group, kind="stable"), np.cumsum(sizes) - sizes
        place = np.arange(sizes.max())
        filled = place < sizes[group, None]
        alike = order[np.where(filled, starts[group, None] + place, 0)]
        counted = filled & (alike != np.arange(len(labels))[:, None])
        relevant = sizes[group] - 1
        arrays = labels, np.flatnonzero(relevant), relevant, alike, counted
        return cls(int(relevant.max()), *(sent(torch.from_numpy(array), device) for array in arrays))


def _scores(prepared: Tensor, rows: Tensor, distance: Distance) -> Tensor:
    """[M, b, N], larger is nearer: `scoring.scorer` of several sets."""
    with torch.autocast(device_type=prepared.device.type, enabled=False):
        scores = prepared.index_select(1, rows) @ prepared.mT
        if distance != "cosine":
            scores = 2 * scores - prepared.square().sum(dim=2)[:, None]
    return scores


def _metrics(scores: Tensor, rows: Tensor, of: _Searches, ks: Sequence[int]) -> Tensor:
    """[M, b, len(ks) + 2] in float64."""
    depth = min(max([of.most, *ks]), scores.shape[2])
    alike = of.labels[rows][:, None] == of.labels
    wrong = scores.masked_fill(alike, -torch.inf).topk(depth).values
    index = of.alike[rows].expand(len(scores), -1, -1)
    right = scores.gather(2, index).masked_fill(~of.counted[rows], -torch.inf).sort(descending=True).values
    hits = torch.arange(1, right.shape[2] + 1, device=scores.device)
    ranks = hits + torch.searchsorted(-wrong, -right, right=True)
    return query_metrics(hits, ranks, ranks[..., 0], of.relevant[rows], ks)


def _first_equal(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Of every row [M, N] the first that is equal to it, by hashes; and by set [M] whether that is so."""
    keys, order = hashes(vectors).sort(dim=1, stable=True)
    place = torch.arange(keys.shape[1], device=keys.device).expand_as(keys)
    begins = torch.cat([torch.ones_like(keys[:, :1], dtype=torch.bool), keys.diff(dim=1) != 0], dim=1)
    start = place.masked_fill(~begins, 0).cummax(dim=1).values
    first = torch.empty_like(order).scatter(1, order, order.gather(1, start))
    equal = vectors.gather(1, first[..., None].expand_as(vectors)) == vectors
    return first, equal.flatten(1).all(dim=1)
