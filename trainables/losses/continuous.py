"""Losses on label distances: row 0 is the anchor, the other rows are near to it or far from it, by degrees.

All compute in at least float32 and take label distances [M] in any order (ties count in the order of the rows). They
cost 0 with zero gradients where the rows form no triplet, and raise ValueError for shapes that do not belong together
and for a batch without a row beside the anchor.

Source: Kim et al., "Deep Metric Learning Beyond Binary Supervision", CVPR 2019; constants as in the authors' code.
"""

from typing import Literal

import torch
from torch import Tensor

from trainables.geometry import unit, widened

__all__ = ["dense_triplet", "log_ratio", "naive_triplet"]

_LOG_EPSILON = 1e-6
_SQUARE_EPSILON = 1e-4
"""Divided by D and added to every squared distance."""
_HINGE_FLOOR = 1e-12


def log_ratio(
    embeddings: Tensor, label_distances: Tensor, *, embedding_power: Literal[1, 2] = 1, min_distance: float = 0.0
) -> Tensor:
    """Log-ratio loss: ratios of embedding distances shall equal ratios of label distances.

    With u_i = log(e_i + 1e-6) - log(g_i + 1e-6), e_i the distance of row i to the anchor and g_i that of their labels,
    it is the mean of (u_i - u_j)^2 over all pairs i < j of the M other rows, which is twice
    the unbiased variance of u: O(M) instead of O(M^2). Scaling all label distances does not change it.

    Args:
        embeddings: [1 + M, D], raw and not normalized; row 0 is the anchor.
        label_distances: [M], not negative, of rows 1.. to the anchor.
        embedding_power: 1: e_i is the Euclidean distance sqrt(|x_i - a|^2 + 1e-4 / D), as the authors' code has it; 2:
            its square, as the paper has it.
        min_distance: shorter label distances count as this one. A distance of 0 has the logarithm -13.8, against which
            all others look alike: half the step between labels keeps it in proportion.

    Raises:
        ValueError: see the module; an `embedding_power` that is not 1 or 2.
    """
    _check(embeddings, label_distances)
    if embedding_power not in (1, 2):
        raise ValueError(f"embedding_power is 1 or 2, not {embedding_power}")
    squared = _squared_distances(widened(embeddings))
    distances = squared.sqrt() if embedding_power == 1 else squared
    wanted = label_distances.to(distances).clamp(min=min_distance)
    deviation = (distances + _LOG_EPSILON).log() - (wanted + _LOG_EPSILON).log()
    return 2 * deviation.var() if len(deviation) > 1 else _nothing(distances)


def dense_triplet(embeddings: Tensor, label_distances: Tensor, *, margin: float = 0.03) -> Tensor:
    """Dense triplet loss: of any two rows, the one nearer in label shall be nearer to the anchor, by a margin.

    The mean of max(q_i - q_j + margin, 1e-12) over all pairs of rows with g_i <= g_j, q_i the squared distance to the
    anchor between unit vectors.

    Args:
        embeddings: [1 + M, D], raw, normalized inside; row 0 is the anchor.
        label_distances: [M], of rows 1.. to the anchor.
        margin: in squared distance.

    Raises:
        ValueError: see the module.
    """
    _check(embeddings, label_distances)
    ordered = _by_label(_squared_distances(unit(embeddings)), label_distances)
    violations = ordered[:, None] - ordered[None, :] + margin
    first, second = torch.triu_indices(len(ordered), len(ordered), 1, device=ordered.device)
    return _mean_hinge(violations.flatten().index_select(0, first * len(ordered) + second), ordered)


def naive_triplet(embeddings: Tensor, label_distances: Tensor, *, positives: int = 5, margin: float = 0.2) -> Tensor:
    """Triplet loss on binary labels: the nearest rows in label are positives, all others negatives, all equally so.

    The mean of max(q_p - q_n + margin, 1e-12) over all positives p and negatives n, q as in `dense_triplet`.

    Args:
        embeddings: [1 + M, D], raw, normalized inside; row 0 is the anchor.
        label_distances: [M], of rows 1.. to the anchor.
        positives: number of rows that are positive.
        margin: in squared distance.

    Raises:
        ValueError: see the module; less than one positive.
    """
    if positives < 1:
        raise ValueError(f"at least one positive, not {positives}")
    _check(embeddings, label_distances)
    ordered = _by_label(_squared_distances(unit(embeddings)), label_distances)
    violations = ordered[:positives, None] - ordered[None, positives:] + margin
    return _mean_hinge(violations, ordered)


def _squared_distances(vectors: Tensor) -> Tensor:
    """[M] from rows 1.. of [1 + M, D] to row 0, with the constant that keeps the root differentiable at 0."""
    return (vectors[1:] - vectors[0]).square().sum(dim=1) + _SQUARE_EPSILON / vectors.shape[1]


def _by_label(distances: Tensor, label_distances: Tensor) -> Tensor:
    return distances.index_select(0, label_distances.to(distances.device).argsort(stable=True))


def _mean_hinge(violations: Tensor, distances: Tensor) -> Tensor:
    return violations.clamp(min=_HINGE_FLOOR).mean() if violations.numel() else _nothing(distances)


def _nothing(distances: Tensor) -> Tensor:
    """0 as a part of the graph."""
    return 0.0 * distances.sum()


def _check(embeddings: Tensor, label_distances: Tensor) -> None:
    shapes = f"embeddings {list(embeddings.shape)}, label distances {list(label_distances.shape)}"
    if embeddings.ndim != 2 or label_distances.ndim != 1 or embeddings.shape[0] != label_distances.shape[0] + 1:
        raise ValueError(f"expected embeddings [1 + M, D], the anchor in row 0, and label distances [M]; got {shapes}")
    if not label_distances.is_floating_point():
        raise ValueError(f"label distances are real numbers, not {label_distances.dtype}")
    if label_distances.shape[0] == 0:
        raise ValueError(f"the loss needs an anchor and other rows; got {shapes}")
    if label_distances.device.type == "cpu" and not (label_distances >= 0).all():
        raise ValueError("label distances are not negative and not NaN")
