"""Distances and miners of the pair losses, from pytorch-metric-learning."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from pytorch_metric_learning import distances, miners
from torch import Tensor

from trainables.losses.pair_config import Distance

MinerName = Literal["none", "multi_similarity", "hard", "semi_hard", "distance_weighted"]
Indices = tuple[Tensor, ...]
"""Anchors and positives, anchors and negatives (4), or anchors, positives and negatives (3)."""
Miner = Callable[..., Indices]
"""Chooses from (rows, labels), or from (rows, labels, references, reference_labels)."""


class Euclidean(distances.BaseDistance):  # type: ignore[misc]
    """`sqrt(|a|^2 + |b|^2 - 2 a b)`; what rounding cannot tell from 0 is 0, with the gradient 0."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        lengths = query_emb.square().sum(dim=1)[:, None] + ref_emb.square().sum(dim=1)
        squares = lengths - 2 * query_emb @ ref_emb.T
        near = squares <= 8 * torch.finfo(squares.dtype).eps * lengths
        return squares.masked_fill(near, 1).sqrt().masked_fill(near, 0)


class Cosine(distances.BaseDistance):  # type: ignore[misc]
    """`1 - a b`."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        return 1 - query_emb @ ref_emb.T


def build_distance(name: Distance) -> distances.BaseDistance:
    """The distance of a configuration, on rows that are normalized already."""
    return (Cosine if name == "cosine" else Euclidean)(normalize_embeddings=False)


def build_miner(name: MinerName, distance: Distance, *, margin: float = 0.0, epsilon: float = 0.1) -> Miner | None:
    """The miner of a configuration; None for `none`, which is all pairs or triplets.

    - `multi_similarity`: positives further than the nearest negative less epsilon, negatives nearer than the furthest
      positive plus epsilon (Wang et al., CVPR 2019).
    - `hard`: the furthest positive and the nearest negative of every row (Hermans et al., arXiv 1703.07737).
    - `semi_hard`: triplets whose negative is further than the positive by less than the margin (FaceNet, CVPR 2015).
    - `distance_weighted`: for every positive pair a negative drawn from torch's global generator, each distance on
      the unit sphere about as often as any other (Wu et al., ICCV 2017).
    """
    makers: dict[str, Callable[[], Any]] = {
        "none": lambda: None,
        "multi_similarity": lambda: miners.MultiSimilarityMiner(epsilon=epsilon, distance=build_distance(distance)),
        "hard": lambda: miners.BatchHardMiner(distance=build_distance(distance)),
        "semi_hard": lambda: miners.TripletMarginMiner(margin, "semihard", distance=build_distance(distance)),
        "distance_weighted": miners.DistanceWeightedMiner,
    }
    miner: Miner | None = makers[name]()
    return miner


def draws(miner: Miner) -> bool:
    """Whether a miner chooses at random."""
    return isinstance(miner, miners.DistanceWeightedMiner)
