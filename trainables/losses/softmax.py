"""Cross entropies over the classes without a margin: plain, on cosines, and on distances between unit vectors."""

from torch import Tensor

from trainables.geometry import check_batch, products, widened
from trainables.losses.bounded import mean_over_rows
from trainables.losses.logits import class_cross_entropy, cosine_cross_entropy

__all__ = ["norm_softmax", "proxy_nca", "proxy_nca_pp", "softmax"]


def softmax(
    embeddings: Tensor,
    labels: Tensor,
    weights: Tensor,
    *,
    bias: Tensor | None = None,
    excluded: Tensor | None = None,
) -> Tensor:
    """Plain softmax: mean cross entropy of the linear classifier `z_i . w_c + b_c`. Nothing is normalized.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        weights: [C, D], raw.
        bias: [C]; none is zero.
        excluded: bool [B, C], classes that do not exist for a row.

    Raises:
        ValueError: as every loss, and a bias that is not [C].
    """
    check_batch(embeddings, labels, weights)
    if bias is not None and bias.shape != weights.shape[:1]:
        raise ValueError(f"bias must have one value for each of {weights.shape[0]} classes; got {list(bias.shape)}")
    columns = widened(weights)

    def terms(rows: Tensor, labels: Tensor, excluded: Tensor | None) -> Tensor:
        logits = products(rows, columns)
        return class_cross_entropy(logits if bias is None else logits + bias, labels, excluded=excluded)

    return mean_over_rows(terms, widened(embeddings), labels, excluded, columns=len(columns))


def norm_softmax(
    embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float = 23.0, excluded: Tensor | None = None
) -> Tensor:
    """Normalized softmax: mean cross entropy of `scale * cos(x_i, p_c)`.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: inverse temperature s.
        excluded: bool [B, C], classes that do not exist for a row.

    Source: Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019.
    """
    check_batch(embeddings, labels, proxies)
    return cosine_cross_entropy(embeddings, labels, proxies, lambda cosine, _: scale * cosine, excluded=excluded)


def proxy_nca(
    embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float = 12.0, excluded: Tensor | None = None
) -> Tensor:
    """Proxy-NCA with the positive in the denominator: mean cross entropy of `-scale * |x_i - p_c|^2` on unit vectors.

    The squared distance is taken as `2 - 2 cos`: expanding it from lengths loses precision near zero. It follows that
    this equals `norm_softmax` at twice the scale.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: factor on the squared distance.
        excluded: bool [B, C], classes that do not exist for a row.

    Source: Movshovitz-Attias et al., "No Fuss Distance Metric Learning using Proxies", ICCV 2017; the positive in the
    denominator follows Teh et al., "ProxyNCA++", ECCV 2020.
    """
    check_batch(embeddings, labels, proxies)

    def logits(cosine: Tensor, labels: Tensor) -> Tensor:
        return -scale * (2 - 2 * cosine)

    return cosine_cross_entropy(embeddings, labels, proxies, logits, excluded=excluded)


def proxy_nca_pp(
    embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float = 9.0, excluded: Tensor | None = None
) -> Tensor:
    """ProxyNCA++: mean cross entropy of `-|x_i - p_c|^2 / T` on unit vectors, with `scale` = 1/T.

    As a function this is `proxy_nca` at that scale. The rest of the paper is a recipe around it: global max pooling,
    layer norm before the head, class-balanced batches, and a much larger learning rate for the proxies.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: inverse temperature 1/T; the paper's T is 1/9.
        excluded: bool [B, C], classes that do not exist for a row.

    Source: Teh, DeVries and Taylor, "ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood Component Analysis",
    ECCV 2020.
    """
    return proxy_nca(embeddings, labels, proxies, scale=scale, excluded=excluded)
