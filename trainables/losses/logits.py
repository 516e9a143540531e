"""What the losses with a cross entropy over class logits [B, C] share: the target's logit and classes left out."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.geometry import products, unit, values_visible
from trainables.losses.bounded import mean_over_rows

IGNORED = -100
"""Label of a row that does not count: it fills up a batch to the size of others (`trainables.fused`)."""


def target_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """The logit [B] of every row's own class, from logits [B, C] and labels [B]."""
    return logits.gather(1, _columns(labels)).squeeze(1)


def replace_target(logits: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    """The logits [B, C] with `target` [B] in the place of every row's own class."""
    return logits.scatter(1, _columns(labels), target[:, None])


def _columns(labels: Tensor) -> Tensor:
    return labels.long().clamp(min=0)[:, None]  # a row that does not count has some column too


def cosine_cross_entropy(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    logits: Callable[[Tensor, Tensor], Tensor],
    *,
    excluded: Tensor | None,
) -> Tensor:
    """`class_cross_entropy` of `logits(cosines [b, P], labels [b])`, from pieces of the rows where all are too many.

    Args:
        embeddings: [B, D], raw.
        labels: [B].
        proxies: [P, D], raw.
        logits: [b, C] of some rows, each of its own row alone.
        excluded: bool [B, C] or None.
    """
    columns = unit(proxies)

    def terms(rows: Tensor, labels: Tensor, excluded: Tensor | None) -> Tensor:
        return class_cross_entropy(logits(products(rows, columns), labels), labels, excluded=excluded)

    return mean_over_rows(terms, unit(embeddings), labels, excluded, columns=len(columns))


def class_cross_entropy(logits: Tensor, labels: Tensor, *, excluded: Tensor | None = None) -> Tensor:
    """Mean over the rows of `-L[i, y_i] + log sum_c exp L[i, c]`.

    Args:
        logits: [B, C].
        labels: [B], integers in 0..C-1; rows with `IGNORED` are left out of the mean.
        excluded: bool [B, C], classes that do not exist for a row: their logits become -inf, their gradient is 0.

    Raises:
        ValueError: `excluded` has another shape or type, or (looked at on the CPU only) names a row's own class.
    """
    if excluded is not None:
        _check_excluded(excluded, logits, labels)
        logits = logits.masked_fill(excluded, -torch.inf)
    return F.cross_entropy(logits, labels.long(), ignore_index=IGNORED)


def _check_excluded(excluded: Tensor, logits: Tensor, labels: Tensor) -> None:
    if excluded.dtype != torch.bool or excluded.shape != logits.shape:
        got = f"{excluded.dtype} {list(excluded.shape)}"
        raise ValueError(f"excluded must be torch.bool {list(logits.shape)}, rows by classes; got {got}")
    if values_visible(excluded) and bool(target_logits(excluded, labels).any()):
        raise ValueError("excluded names the class of a row itself; its loss would be infinite")
