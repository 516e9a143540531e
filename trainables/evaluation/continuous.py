"""How well the order of embeddings follows continuous labels: mean label distance and nDCG of the nearest images.

Every query ranks the images of its group, itself left out by its index. Ties are broken against the query: of images
at the same distance, those farther in label come first. So a network that maps all images to one point gets the worst
order, not the one that the files happen to give.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.targets import Targets
from trainables.evaluation.ranking import check_set
from trainables.evaluation.retrieval import Retrieval, averaged
from trainables.evaluation.scoring import Distance, held_at_once, scorer

__all__ = ["label_report"]


@torch.no_grad()
def label_report(
    embeddings: Tensor,
    labels: Tensor,
    targets: Targets,
    *,
    gallery: Tensor | None = None,
    gallery_targets: Targets | None = None,
    ks: Sequence[int] = (1, 10),
    distance: Distance = "cosine",
    chunk_elements: int | None = None,
) -> Retrieval:
    """Metrics of continuous labels, on the device where the embeddings are.

    `label_distance_at_<k>` is the mean distance of a query's label to those of its k nearest images, in the unit of the
    labels; lower is better. `ndcg_at_<k>` is sum_r 1 / ((1 + d_r) log2(r + 1)) over the k nearest images, d_r the label
    distance of the one at rank r, divided by the same sum in the order of label distances; at most 1. Both are means
    over queries; in a group of fewer than k other images, all of them count.

    Args:
        embeddings: queries [Q, D]; half precision is widened to float32.
        labels: [Q], integers, the classes that `per_class` averages over.
        targets: continuous labels [Q] and the groups of the queries.
        gallery: [N, D]; by default the queries themselves, each without itself.
        gallery_targets: [N].
        ks: depths.
        distance: "cosine" normalizes; "euclidean" does not.
        chunk_elements: bound on the distances held at once; it does not change the result.

    Raises:
        ValueError: shapes that do not belong together, NaN or infinite embeddings, a depth below 1, or no query with
            another image in its group.

    Source: Kim et al., "Deep Metric Learning Beyond Binary Supervision", CVPR 2019 (mean label distance,
    and nDCG with the gain 2^r at the relevance r = -log2(d + 1)).
    """
    _check(embeddings, labels, targets, gallery=gallery, gallery_targets=gallery_targets, ks=ks)
    items = embeddings if gallery is None else gallery
    at_once = chunk_elements or held_at_once(items)
    known = targets if gallery_targets is None else targets.joined(gallery_targets)
    first = len(known) - len(items)
    values, counted = [], []
    for rows, columns in _groups(known, len(targets), first):
        scores_of = scorer(items[torch.from_numpy(columns - first).to(items.device)], distance)
        for chunk in _chunks(rows, at_once // (len(columns) * targets.values.shape[1])):
            scores = scores_of(embeddings[torch.from_numpy(chunk).to(embeddings.device)])
            distances = torch.from_numpy(known.distances(chunk[:, None], columns)).to(scores.device)
            if gallery is None:
                scores, distances = _without_self(scores, distances, np.searchsorted(columns, chunk))
            values.append(_query_metrics(scores, distances, ks))
            counted.append(chunk)
    if not counted:
        raise ValueError(f"none of the {len(targets)} queries has another image in its group")
    queries = torch.from_numpy(np.concatenate(counted))
    names = [f"{name}_at_{k}" for k in ks for name in ("label_distance", "ndcg")]
    return averaged(names, torch.cat(values), labels.cpu()[queries], excluded=len(targets) - len(queries))


def _groups(targets: Targets, queries: int, first: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of the queries and of the items, from `first` on, of every group that has something to rank."""
    for group in np.unique(targets.group[:queries]):
        members = np.flatnonzero(targets.group == group)
        rows, columns = members[members < queries], members[members >= first]
        if len(columns) > int(first == 0):  # more than the query itself
            yield rows, columns


def _chunks(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), max(1, size)):
        yield rows[start : start + max(1, size)]


def _without_self(scores: Tensor, distances: Tensor, own: np.ndarray) -> tuple[Tensor, Tensor]:
    """Both [b, n - 1], the query's own column left out."""
    kept = torch.ones_like(scores, dtype=torch.bool)
    kept[torch.arange(len(own)), torch.from_numpy(own)] = False
    return scores[kept].view(len(own), -1), distances[kept].view(len(own), -1)


def _query_metrics(scores: Tensor, distances: Tensor, ks: Sequence[int]) -> Tensor:
    """[b, 2 len(ks)] in float64: label distance and nDCG per depth; sums run on the CPU, always in the same order."""
    deepest = min(max(ks), scores.shape[1])
    worst_first = distances.argsort(dim=1, descending=True, stable=True)
    nearest = scores.gather(1, worst_first).argsort(dim=1, descending=True, stable=True)[:, :deepest]
    found = distances.gather(1, worst_first.gather(1, nearest)).cpu()
    ideal = distances.topk(deepest, dim=1, largest=False).values.cpu()
    discount = torch.arange(2, deepest + 2, dtype=torch.float64).log2()
    gain, best_gain = (((1 + d) * discount).reciprocal().cumsum(dim=1) for d in (found, ideal))
    mean = found.cumsum(dim=1) / torch.arange(1, deepest + 1)
    depths = [min(k, deepest) - 1 for k in ks]
    return torch.stack([column[:, k] for k in depths for column in (mean, gain / best_gain)], dim=1)


def _check(
    embeddings: Tensor,
    labels: Tensor,
    targets: Targets,
    *,
    gallery: Tensor | None,
    gallery_targets: Targets | None,
    ks: Sequence[int],
) -> None:
    if (gallery is None) != (gallery_targets is None):
        raise ValueError("gallery and gallery_targets belong together: give both or neither")
    check_set("embeddings", embeddings, labels)
    if len(targets) != len(labels):
        raise ValueError(f"{len(labels)} embeddings and {len(targets)} continuous labels do not belong together")
    if gallery is not None and gallery_targets is not None:
        check_set("gallery", gallery, torch.from_numpy(gallery_targets.group))
    if not ks or any(k < 1 for k in ks):
        raise ValueError(f"depths start at 1: ks={list(ks)}")
