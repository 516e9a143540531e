"""SoftTriple: several centers per class."""

import torch
from torch import Tensor

from trainables.geometry import check_batch, unit
from trainables.losses.logits import cosine_cross_entropy, replace_target, target_logits

__all__ = ["soft_triple"]


def soft_triple(
    embeddings: Tensor,
    labels: Tensor,
    centers: Tensor,
    *,
    centers_per_class: int = 10,
    scale: float = 20.0,
    gamma: float = 0.1,
    margin: float = 0.01,
    tau: float = 0.2,
    excluded: Tensor | None = None,
    absent: Tensor | None = None,
) -> Tensor:
    """SoftTriple: normalized softmax on the soft maximum over each class's centers, and a regularizer that merges them.

    With the cosines S_ick to center k of class c and `R_ic = sum_k softmax_k(S_ick / gamma) S_ick`: the mean cross
    entropy of `scale * (R_ic - margin * [c = y_i])`, plus `tau` times half the mean distance between a class's centers,

        sum_c sum_{k < l} sqrt(2 + 1e-5 - 2 w_ck . w_cl) / (C K (K - 1)), and 0 for K = 1.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        centers: [C * K, D], raw; row c * K + k is center k of class c.
        centers_per_class: K.
        scale: factor on the class logits, the paper's lambda.
        gamma: temperature of the assignment to centers; large values take their mean.
        margin: taken from the target's similarity, the paper's delta.
        tau: weight of the regularizer.
        excluded: bool [B, C], classes that do not exist for a row.
        absent: bool [C], classes that only fill up to the size of other batches, which the regularizer leaves out.

    Source: Qian et al., "SoftTriple Loss: Deep Metric Learning Without Triplet Sampling", ICCV 2019,
    and its released code (1e-5, and the divisor of the regularizer).
    """
    check_batch(embeddings, labels, centers, centers_per_class=centers_per_class)

    def logits(cosine: Tensor, labels: Tensor) -> Tensor:
        similarity = cosine.reshape(len(labels), -1, centers_per_class)
        per_class = ((similarity / gamma).softmax(dim=2) * similarity).sum(dim=2)
        target = target_logits(per_class, labels) - margin
        return scale * replace_target(per_class, labels, target)

    loss = cosine_cross_entropy(embeddings, labels, centers, logits, excluded=excluded)
    return loss if centers_per_class == 1 else loss + tau * _spread(centers, centers_per_class, absent)


def _spread(centers: Tensor, centers_per_class: int, absent: Tensor | None) -> Tensor:
    """Half the mean distance between two centers of one class."""
    grouped = unit(centers).reshape(-1, centers_per_class, centers.shape[1])
    with torch.autocast(device_type=centers.device.type, enabled=False):
        within = (grouped @ grouped.transpose(1, 2)).flatten(1)
    first, second = torch.triu_indices(centers_per_class, centers_per_class, 1, device=centers.device)
    distinct = within.index_select(1, first * centers_per_class + second)
    distances = (2 + 1e-5 - 2 * distinct).sqrt()
    if absent is None:
        return distances.mean() / 2
    return (distances.mean(dim=1) * ~absent).sum() / (~absent).sum() / 2
