"""Losses that hand the relations among a teacher's embeddings [B, Dt] on to a student's [B, D]; D and Dt may differ.

The teacher gets no gradient. All raise ValueError for shapes that do not belong together and for fewer than two rows.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.geometry import cosines, unit, widened

__all__ = ["pkt", "relaxed_contrastive", "relaxed_multi_similarity", "rkd"]

DistanceNormalization = Literal["row_mean", "global_mean", "none"]
Diagonal = Literal["included", "excluded"]

_SHORTEST = 1e-6
"""Distances are at least this, the root of the 1e-12 that squared distances are clamped to."""


def relaxed_contrastive(
    embeddings: Tensor,
    teacher: Tensor | None,
    *,
    sigma: float = 1.0,
    delta: float = 1.0,
    distance_normalization: DistanceNormalization = "row_mean",
    diagonal: Diagonal = "included",
    labels: Tensor | None = None,
) -> Tensor:
    """Contrastive loss whose pairs are the same class to the degree that they are near for the teacher.

    With unit teacher rows s, `w_ij = exp(-|s_i - s_j|^2 / sigma)` and student distances d, each divided by the mean of
    its row (through which the gradient flows),

        1/B sum_{i, j: d_ij > 0} [w_ij d_ij^2 + (1 - w_ij) max(0, delta - d_ij)^2].

    The published row mean counts the zero on the diagonal: its divisor is B. The loss does not change when the
    embeddings are scaled as a whole, unless distances are left as they are.

    Args:
        embeddings: the student's [B, D], not normalized here.
        teacher: [B, Dt], raw; not looked at where `labels` are given.
        sigma: bandwidth, a squared distance; above 0.
        delta: margin, in units of the normalized distance.
        distance_normalization: divide a distance by the mean of its row, of the whole matrix, or not at all.
        diagonal: whether the means count the zeros on the diagonal.
        labels: [B], integers; w is 1 within a class and 0 elsewhere (the ablation without relaxed labels).

    Source: Kim et al., "Embedding Transfer with Label Relaxation for Improved Metric Learning", CVPR 2021, the
    relaxed contrastive loss; clamps and diagonal as in the official code.
    """
    distances = _normalized(_student_distances(embeddings, teacher, labels), distance_normalization, diagonal)
    same = _relaxed_labels(teacher, labels, sigma=sigma).to(distances)
    terms = same * distances.square() + (1 - same) * (delta - distances).clamp(min=0).square()
    return torch.where(distances > 0, terms, 0).sum() / len(embeddings)


def relaxed_multi_similarity(
    embeddings: Tensor,
    teacher: Tensor | None,
    *,
    sigma: float = 1.0,
    delta: float = 1.0,
    positive_scale: float = 1.0,
    negative_scale: float = 2.0,
    views: Literal[1, 2] = 1,
    distance_normalization: DistanceNormalization = "row_mean",
    diagonal: Diagonal = "included",
    labels: Tensor | None = None,
) -> Tensor:
    """Multi-similarity loss with relaxed labels w and normalized distances d as in `relaxed_contrastive`.

    Row i gives, with a and c the two scales,

        1/a log(1 + sum_{j != i} w_ij exp(a d_ij)) + 1/c log(1 + sum_{j != i} (1 - w_ij) exp(c (delta - d_ij))),

    and the loss is the mean over rows with a positive value.

    Args:
        embeddings, teacher, sigma, delta, distance_normalization, diagonal, labels: as in `relaxed_contrastive`.
        positive_scale, negative_scale: a and c.
        views: with 2, rows i and i + B/2 show one image, and their w is 1.

    Raises:
        ValueError: two views of an odd number of rows.

    Source: the second loss of Kim et al., CVPR 2021 (official code).
    """
    distances = _normalized(_student_distances(embeddings, teacher, labels), distance_normalization, diagonal)
    same = _relaxed_labels(teacher, labels, sigma=sigma).to(distances)
    if views == 2:
        same = torch.where(_two_views(same), 1, same)
    pull = _log_one_plus(positive_scale * distances, weights=same) / positive_scale
    push = _log_one_plus(negative_scale * (delta - distances), weights=1 - same) / negative_scale
    rows = pull + push
    return rows.sum() / (rows > 0).sum().clamp(min=1)


def rkd(embeddings: Tensor, teacher: Tensor, *, distance_weight: float = 1.0, angle_weight: float = 2.0) -> Tensor:
    """Relational knowledge distillation: smooth L1 between the two networks' distances and between their angles.

    Distances [B, B] are divided by the mean of their positive entries. Angles are the cosines [B, B, B] at row i
    between the directions to rows j and k; the direction to a row at the same place is 0. Both terms are means over all
    entries.

    Args:
        embeddings: the student's [B, D], not normalized here.
        teacher: [B, Dt], not normalized here.
        distance_weight, angle_weight: factors of the two terms; a term with factor 0 is not computed.

    Source: Park et al., "Relational Knowledge Distillation", CVPR 2019, the losses RKD-D and RKD-A.
    """
    student_distances = _student_distances(embeddings, teacher, None)
    teacher_distances = _distances(teacher.detach()).to(student_distances)
    loss = student_distances.new_zeros(())
    if distance_weight:
        expected = _over_positive_mean(teacher_distances)
        loss = loss + distance_weight * F.smooth_l1_loss(_over_positive_mean(student_distances), expected)
    if angle_weight:
        expected = _angles(teacher.detach()).to(student_distances)
        loss = loss + angle_weight * F.smooth_l1_loss(_angles(embeddings), expected)
    return loss


def pkt(embeddings: Tensor, teacher: Tensor, *, epsilon: float = 1e-7) -> Tensor:
    """Probabilistic knowledge transfer: how each row's neighbourhood in the student differs from the teacher's.

    Rows of (1 + cos) / 2, the row itself included, are divided by their sum: p for the teacher, q for the student. The
    loss is the mean over the matrix [B, B] of `p log((p + epsilon) / (q + epsilon))`.

    Args:
        embeddings: the student's [B, D], raw.
        teacher: [B, Dt], raw.
        epsilon: keeps the logarithm finite.

    Source: Passalis and Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV 2018, with
    the cosine kernel.
    """
    _check(embeddings, teacher)
    student = _neighbourhood(embeddings)
    expected = _neighbourhood(teacher.detach()).to(student)
    return (expected * ((expected + epsilon) / (student + epsilon)).log()).mean()


def _student_distances(embeddings: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
    _check(embeddings, teacher if labels is None else labels.view(len(labels), -1))
    return _distances(embeddings)


def _check(embeddings: Tensor, teacher: Tensor | None) -> None:
    if teacher is None:
        raise ValueError("without labels, the teacher's embeddings are needed")
    if embeddings.ndim != 2 or teacher.ndim != 2 or len(embeddings) != len(teacher):
        shapes = f"embeddings {list(embeddings.shape)}, teacher or labels {list(teacher.shape)}"
        raise ValueError(f"expected embeddings [B, D] and teacher embeddings [B, Dt] (or labels [B]); got {shapes}")
    if len(embeddings) < 2:
        raise ValueError(f"relations need at least two rows; embeddings {list(embeddings.shape)}")


def _distances(rows: Tensor) -> Tensor:
    """Euclidean distances [B, B], at least 1e-6 off the diagonal (no gradient there) and 0 on it.

    From differences: the expansion into lengths and products loses near duplicates, two weak views of an image for
    instance, below the clamp.
    """
    rows = widened(rows)
    with torch.autocast(rows.device.type, enabled=False):
        distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.clamp(min=_SHORTEST).masked_fill(_itself(distances), 0)


def _itself(matrix: Tensor) -> Tensor:
    """The diagonal of a square matrix, as a mask."""
    return torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)


def _normalized(distances: Tensor, by: DistanceNormalization, diagonal: Diagonal) -> Tensor:
    if by == "none":
        return distances
    columns = len(distances) if diagonal == "included" else len(distances) - 1
    row_means = distances.sum(1, keepdim=True) / columns
    return distances / (row_means if by == "row_mean" else row_means.mean())


@torch.no_grad()
def _relaxed_labels(teacher: Tensor | None, labels: Tensor | None, *, sigma: float) -> Tensor:
    """[B, B] in 0..1: to what degree two rows are of one class."""
    if labels is not None:
        return labels[:, None] == labels
    assert teacher is not None
    vectors = unit(teacher)
    with torch.autocast(vectors.device.type, enabled=False):
        distances = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist")
    return (-distances.square() / sigma).exp()


def _two_views(matrix: Tensor) -> Tensor:
    """Pairs (i, i + B/2) and (i + B/2, i), as a mask [B, B]."""
    count, odd = divmod(len(matrix), 2)
    if odd:
        raise ValueError(f"two views of each image are an even number of rows, not {len(matrix)}")
    return _itself(matrix).roll(count, dims=0)


def _log_one_plus(exponents: Tensor, *, weights: Tensor) -> Tensor:
    """`log(1 + sum_{j != i} weights_ij exp(exponents_ij))` of every row; no size of the exponents overflows."""
    weighted = (exponents + weights.log()).masked_fill(_itself(exponents), -torch.inf)
    return F.pad(weighted, (1, 0)).logsumexp(dim=1)


def _over_positive_mean(distances: Tensor) -> Tensor:
    return distances * ((distances > 0).sum() / distances.sum())


def _angles(rows: Tensor) -> Tensor:
    """Cosines [B, B, B] at row i between the directions to rows j and k; 0 where one of them is at the same place."""
    rows = widened(rows)
    differences = rows[None, :, :] - rows[:, None, :]
    apart = differences.detach().square().sum(2, keepdim=True) > _SHORTEST**2
    # The inner choice keeps an infinite slope at length 0 out of the gradient, the outer one the value at 0.
    directions = torch.where(apart, F.normalize(torch.where(apart, differences, 1), dim=2), 0)
    with torch.autocast(rows.device.type, enabled=False):
        return directions @ directions.transpose(1, 2)


def _neighbourhood(rows: Tensor) -> Tensor:
    """Each row's cosines to all rows, moved to 0..1 and divided by their sum, [B, B]."""
    nearness = (1 + cosines(rows, rows)) / 2
    return nearness / nearness.sum(1, keepdim=True)
