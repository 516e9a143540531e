"""Base losses as pure functions of raw embeddings [B, D], labels [B] and raw proxies [C, D]; every result is a scalar.

Embeddings and proxies are normalized inside. Half precision inputs are computed in float32 (see `trainables.geometry`).
All raise ValueError for shapes that do not belong together, an empty batch, and labels outside 0..C-1 (on the CPU).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.geometry import check_batch, cosines

__all__ = ["norm_softmax", "proxy_anchor", "proxy_nca"]


def norm_softmax(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float = 23.0) -> Tensor:
    """Normalized softmax: mean cross entropy of `scale * cos(x_i, p_c)`.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: inverse temperature s.

    Source: Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019.
    """
    check_batch(embeddings, labels, proxies)
    return F.cross_entropy(scale * cosines(embeddings, proxies), labels.long())


def proxy_nca(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float = 12.0) -> Tensor:
    """Proxy-NCA with the positive in the denominator: mean cross entropy of `-scale * |x_i - p_c|^2` on unit vectors.

    The squared distance is taken as `2 - 2 cos`: expanding it from lengths loses precision near zero. It follows that
    this equals `norm_softmax` at twice the scale.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: factor on the squared distance.

    Source: Movshovitz-Attias et al., "No Fuss Distance Metric Learning using Proxies", ICCV 2017; the positive in the
    denominator follows Teh et al., "ProxyNCA++", ECCV 2020.
    """
    check_batch(embeddings, labels, proxies)
    return F.cross_entropy(-scale * (2 - 2 * cosines(embeddings, proxies)), labels.long())


def proxy_anchor(
    embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float = 32.0, margin: float = 0.1
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

    Source: Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020, equation 4.
    """
    check_batch(embeddings, labels, proxies)
    similarity = cosines(embeddings, proxies)
    positive = labels[:, None] == torch.arange(proxies.shape[0], device=labels.device)
    pull = _log_one_plus_sum_exp(-scale * (similarity - margin), positive)
    push = _log_one_plus_sum_exp(scale * (similarity + margin), ~positive)
    return pull.sum() / positive.any(dim=0).sum() + push.mean()


def _log_one_plus_sum_exp(exponents: Tensor, used: Tensor) -> Tensor:
    """`log(1 + sum_i exp(exponents[i, c]))` over the used entries of every column; 0 for a column without any."""
    padded = F.pad(exponents.masked_fill(~used, -torch.inf), (0, 0, 1, 0))
    return padded.logsumexp(dim=0)
