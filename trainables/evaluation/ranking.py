"""Where queries find their relevant items, in chunks that are bounded in memory.

Ties are broken against the query and regardless of order: the j-th best relevant item has the rank `j + (wrong items
that score at least as high)`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import torch
from torch import Tensor

from trainables.evaluation.mutual import DEEPEST, Candidates, nearest_of_one_another
from trainables.evaluation.scoring import Distance, held_at_once, scorer
from trainables.geometry import widened


@dataclass(frozen=True)
class Ranking:
    """Where some queries find their relevant items.

    Attributes:
        queries: [b], their positions.
        hits: [b, C], number j of the relevant item at a candidate, counted from the nearest.
        ranks: [b, C], its rank r_j; out of reach, `int64`'s largest value, where the candidate is not relevant.
        first: [b], rank r_1 of the nearest relevant item.
        relevant: [b], number R of relevant items.
    """

    queries: Tensor
    hits: Tensor
    ranks: Tensor
    first: Tensor
    relevant: Tensor


def rankings(
    embeddings: Tensor,
    labels: Tensor,
    *,
    gallery: Tensor | None,
    gallery_labels: Tensor | None,
    depth: int | None = 1,
    first: int = 1,
    distance: Distance,
    chunk_elements: int | None = None,
) -> Iterator[Ranking]:
    """Rankings of all queries that have a relevant item, in chunks.

    Args:
        depth: ranks up to R and this are exact; None for the whole gallery.
        first: those of nearest relevant items are up to here: to count what is before one item costs less than to sort.
        chunk_elements: bound on the scores held at once, the device's own by default.

    Raises:
        ValueError: as of `retrieval_report`.
    """
    _check(embeddings, labels, gallery=gallery, gallery_labels=gallery_labels, distance=distance)
    items, item_labels = (
        embeddings if gallery is None else gallery,
        labels if gallery_labels is None else gallery_labels,
    )
    labels, item_labels = labels.to(embeddings.device).long(), item_labels.to(items.device).long()
    relevant = _relevant_counts(labels, item_labels) - int(gallery is None)
    queries = relevant.nonzero().squeeze(1)
    if not queries.numel():
        raise ValueError(f"none of the {labels.numel()} queries has another image of its class in the gallery")

    reach = max(int(relevant.max()), depth or len(items), first if first < DEEPEST else 1)
    search = _Search(
        embeddings,
        gallery,
        min(reach + 1, len(items)),
        distance,
        halved=first <= reach and 2 * len(queries) > len(labels),
    )
    for rows in torch.split(queries, max(1, (chunk_elements or held_at_once(items)) // max(items.shape))):
        values, index, scores_of = search.candidates(rows)
        hits, ranks = _ranks(values, index, labels[rows], item_labels, scores_of)
        nearest = ranks.min(dim=1).values
        if reach < first and (beyond := (nearest > reach).nonzero().squeeze(1)).numel():
            nearest[beyond] = _first_ranks(scores_of(beyond), labels[rows[beyond]], item_labels)
        del scores_of  # and the scores, before the next ones are made
        yield Ranking(rows, hits, ranks, nearest, relevant[rows])


def _relevant_counts(labels: Tensor, item_labels: Tensor) -> Tensor:
    known, counts = torch.unique(item_labels, return_counts=True)
    place = torch.searchsorted(known, labels).clamp(max=known.numel() - 1)
    return torch.where(known[place] == labels, counts[place], 0)


@dataclass(frozen=True)
class _Search:
    """The best `count` items of a gallery, or of the queries themselves, for each query."""

    embeddings: Tensor
    gallery: Tensor | None
    count: int
    distance: Distance
    halved: bool

    def candidates(self, rows: Tensor) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
        """Scores [b, count] in falling order, whose they are, and a function to all scores of some of the rows."""
        if self._mutual is not None:
            found = self._mutual
            return found.values[rows], found.index[rows], lambda chosen: self._scores(rows[chosen])
        scores = self._scores(rows)
        return *scores.topk(self.count, dim=1), lambda chosen: scores[chosen]

    @cached_property
    def _mutual(self) -> Candidates | None:
        if self.gallery is not None or not self.halved:
            return None
        return nearest_of_one_another(self.embeddings, self.count, distance=self.distance)

    @cached_property
    def _scorer(self) -> Callable[[Tensor], Tensor]:
        return scorer(self.embeddings if self.gallery is None else self.gallery, self.distance)

    def _scores(self, rows: Tensor) -> Tensor:
        """[b, N]; of the query itself, where it is among the items, -inf."""
        scores = self._scorer(self.embeddings[rows])
        if self.gallery is None:
            scores[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
        return scores


def _ranks(
    values: Tensor, index: Tensor, labels: Tensor, item_labels: Tensor, scores_of: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Number j and pessimistic rank of the relevant items among candidates [b, C]; elsewhere the rank is infinite.

    Ranks below C are exact: a tie that may go on beyond the candidates is counted over all scores of its query.
    """
    cut = ((values == values[:, -1:]).sum(dim=1) > 1).nonzero().squeeze(1)
    if cut.numel():
        scores = scores_of(cut)
        values[cut], index[cut] = scores.topk(values.shape[1], dim=1)
    relevant = (item_labels[index] == labels[:, None]) & (values > -torch.inf)
    end_of_tie = torch.searchsorted(-values, -values, right=True) - 1
    wrong = (~relevant).cumsum(dim=1).gather(1, end_of_tie)
    if cut.numel():
        last = values[cut, -1:]
        tied_or_better = (scores >= last) & (item_labels != labels[cut, None])
        wrong[cut] = torch.where(values[cut] == last, tied_or_better.sum(dim=1, keepdim=True), wrong[cut])
    hits = relevant.cumsum(dim=1)
    return hits, (hits + wrong).masked_fill(~relevant, torch.iinfo(torch.int64).max)


def _first_ranks(scores: Tensor, labels: Tensor, item_labels: Tensor) -> Tensor:
    """[b] Pessimistic rank of the best relevant item among all items."""
    relevant = item_labels == labels[:, None]
    best = scores.masked_fill(~relevant, -torch.inf).amax(dim=1, keepdim=True)
    return ((scores >= best) & ~relevant).sum(dim=1) + 1


def _check(
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
