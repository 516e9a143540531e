"""Proxy Anchor: proxies against all samples of the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.geometry import check_batch, products, unit
from trainables.losses.bounded import by_columns
from trainables.losses.logits import IGNORED

__all__ = ["proxy_anchor"]


def proxy_anchor(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    scale: float = 32.0,
    margin: float = 0.1,
    absent: Tensor | None = None,
) -> Tensor:
    """Proxy Anchor: every proxy against all samples of the batch.

    With S = cos(x_i, p_c) and P the classes that occur in the batch,

        1/|P| sum_c log(1 + sum_{i: y_i = c} exp(-scale (S_ic - margin)))
        + 1/C sum_c log(1 + sum_{i: y_i != c} exp(scale (S_ic + margin))).

    The logarithms are log-sum-exp over the exponents and a 0, which no scale and margin overflow.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: sharpness, the paper's alpha.
        margin: the paper's delta.
        absent: bool [C], classes that only fill up to the size of other batches and count nowhere.

    Source: Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020, equation 4.
    """
    check_batch(embeddings, labels, proxies)
    rows = unit(embeddings)

    def terms(directions: Tensor, before: int) -> Tensor:
        """[3, c]: pull and push of every proxy, and whether its class occurs in the batch."""
        similarity = products(rows, directions)
        classes = torch.arange(before, before + len(directions), device=labels.device)
        positive = labels[:, None] == classes
        negative = ~positive
        if absent is not None:
            negative = negative & ~absent[before : before + len(directions)] & (labels != IGNORED)[:, None]
        pull = _log_one_plus_sum_exp(-scale * (similarity - margin), positive)
        push = _log_one_plus_sum_exp(scale * (similarity + margin), negative)
        return torch.stack([pull, push, positive.any(dim=0).to(pull.dtype)])

    pull, push, occurs = by_columns(terms, unit(proxies), rows=len(rows)).unbind()
    pushed = push.mean() if absent is None else push.sum() / (~absent).sum()
    return pull.sum() / occurs.sum() + pushed


def _log_one_plus_sum_exp(exponents: Tensor, used: Tensor) -> Tensor:
    """`log(1 + sum_i exp(exponents[i, c]))` over the used entries of every column; 0 for a column without any."""
    padded = F.pad(exponents.masked_fill(~used, -torch.inf), (0, 0, 1, 0))
    return padded.logsumexp(dim=0)
