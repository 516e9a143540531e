"""Cross entropies over cosines with a margin on the target: SphereFace, CosFace, ArcFace, CurricularFace.

Margins on the angle are computed from its cosine c, without the arc cosine, whose derivative is infinite at c = +-1.
"""

import math

import torch
from torch import Tensor, nn

from trainables.geometry import check_batch, products, unit, widened
from trainables.losses.bounded import mean_over_rows
from trainables.losses.logits import class_cross_entropy, cosine_cross_entropy, replace_target, target_logits

__all__ = ["CurricularFace", "arcface", "cosface", "curricularface", "sphereface"]


def sphereface(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    scale: float = 1.0,
    margin: int = 4,
    excluded: Tensor | None = None,
) -> Tensor:
    """SphereFace: the angle to the target is multiplied; proxies are normalized, the length of the embedding is kept.

    Mean cross entropy of `scale * |z_i| * cos(theta_ic)`, with the target's cosine replaced by
    `psi(theta) = (-1)^k cos(margin * theta) - 2 k`, `k = floor(margin * theta / pi)`, which falls from 1 to
    `1 - 2 * margin` over all angles. The annealing of the paper's code (a weight between softmax and psi) is left out.

    Args:
        embeddings: [B, D], raw; their length matters.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: factor on all logits.
        margin: whole factor m >= 1 on the target's angle; 1 is no margin.
        excluded: bool [B, C], classes that do not exist for a row.

    Raises:
        ValueError: as every loss, and a margin that is no whole number from 1.

    Source: Liu et al., "SphereFace: Deep Hypersphere Embedding for Face Recognition", CVPR 2017.
    """
    check_batch(embeddings, labels, proxies)
    if margin < 1 or margin != int(margin):
        raise ValueError(f"the margin of sphereface is a factor and must be a whole number from 1, not {margin}")
    columns = unit(proxies)

    def terms(rows: Tensor, lengths: Tensor, labels: Tensor, excluded: Tensor | None) -> Tensor:
        similarity = products(rows, columns)
        target = _multiplied_angle(target_logits(similarity, labels), int(margin))
        logits = scale * lengths * replace_target(similarity, labels, target)
        return class_cross_entropy(logits, labels, excluded=excluded)

    lengths = widened(embeddings).norm(dim=1, keepdim=True)
    return mean_over_rows(terms, unit(embeddings), lengths, labels, excluded, columns=len(columns))


def cosface(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.35,
    excluded: Tensor | None = None,
) -> Tensor:
    """CosFace: mean cross entropy of `scale * (cos(theta_ic) - margin * [c = y_i])`.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: factor on all logits, s.
        margin: taken from the target's cosine.
        excluded: bool [B, C], classes that do not exist for a row.

    Source: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018, equation 4.
    """
    check_batch(embeddings, labels, proxies)

    def logits(similarity: Tensor, labels: Tensor) -> Tensor:
        target = target_logits(similarity, labels) - margin
        return scale * replace_target(similarity, labels, target)

    return cosine_cross_entropy(embeddings, labels, proxies, logits, excluded=excluded)


def arcface(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.5,
    excluded: Tensor | None = None,
) -> Tensor:
    """ArcFace: mean cross entropy of `scale * cos(theta_ic)` with the margin added to the target's angle.

    The target's cosine is replaced by `cos(theta + margin)` while `theta <= pi - margin`, beyond that by
    `cos(theta) - margin * sin(margin)`, since `cos(theta + margin)` would rise again.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        scale: factor on all logits, s.
        margin: in radians, 0..pi.
        excluded: bool [B, C], classes that do not exist for a row.

    Raises:
        ValueError: as every loss, and a margin outside 0..pi.

    Source: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019, equation 3; the
    continuation beyond `pi - margin` is the one of the released code.
    """
    check_batch(embeddings, labels, proxies)
    _check_angle(margin)

    def logits(similarity: Tensor, labels: Tensor) -> Tensor:
        cosine = target_logits(similarity, labels)
        beyond = cosine - margin * _sin(margin)
        target = torch.where(cosine >= -_cos(margin), _increased_angle(cosine, margin), beyond)
        return scale * replace_target(similarity, labels, target)

    return cosine_cross_entropy(embeddings, labels, proxies, logits, excluded=excluded)


def curricularface(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    t: Tensor | float,
    scale: float = 64.0,
    margin: float = 0.5,
    excluded: Tensor | None = None,
) -> Tensor:
    """CurricularFace: ArcFace whose hard negatives count more as training proceeds.

    With the target's cosine c and `a = cos(theta + margin)`, every other cosine `c_j > a` becomes `c_j * (t + c_j)`,
    and the target `a`, or `c - margin * sin(margin)` where `c <= cos(pi - margin)`. Negatives meet a even then.

    Args:
        embeddings: [B, D], raw.
        labels: [B], integers in 0..C-1.
        proxies: [C, D], raw.
        t: how far training has come, a scalar: the running mean of the target's cosine. See `CurricularFace`.
        scale: factor on all logits, s.
        margin: in radians, 0..pi.
        excluded: bool [B, C], classes that do not exist for a row.

    Raises:
        ValueError: as every loss, and a margin outside 0..pi.

    Source: Huang et al., "CurricularFace: Adaptive Curriculum Learning Loss for Deep Face Recognition", CVPR 2020;
    the continuation beyond `pi - margin` is the one of the released code.
    """
    check_batch(embeddings, labels, proxies)
    _check_angle(margin)

    def logits(similarity: Tensor, labels: Tensor) -> Tensor:
        cosine = target_logits(similarity, labels)
        increased, beyond = _increased_angle(cosine, margin), cosine - margin * _sin(margin)
        target = torch.where(cosine > -_cos(margin), increased, beyond)
        weighted = torch.where(similarity > increased[:, None], similarity * (t + similarity), similarity)
        return scale * replace_target(weighted, labels, target)

    return cosine_cross_entropy(embeddings, labels, proxies, logits, excluded=excluded)


class CurricularFace(nn.Module):
    """`curricularface` with its running mean t of the target's cosine, which a checkpoint holds.

    In training mode each call first moves t, `t <- 0.01 * mean + 0.99 * t`, and uses the new value. In evaluation mode
    t stays.

    Attributes:
        t: scalar, from 0.
    """

    t: Tensor

    def __init__(self, *, scale: float = 64.0, margin: float = 0.5) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.register_buffer("t", torch.zeros(()))

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        proxies: Tensor,
        *,
        excluded: Tensor | None = None,
        real: int | None = None,
    ) -> Tensor:
        """The loss, a scalar.

        Args:
            embeddings: [B, D], raw.
            labels: [B], integers in 0..C-1.
            proxies: [C, D], raw.
            excluded: bool [B, C], classes that do not exist for a row.
            real: leading rows that t averages over, without the synthetic ones; all by default.

        Raises:
            ValueError: as `curricularface`, and `real` outside 1..B. t is as before then.
        """
        check_batch(embeddings, labels, proxies)
        if self.training:
            self.t = self._moved(*_leading(embeddings, labels, real), proxies)
        return curricularface(
            embeddings, labels, proxies, t=self.t, scale=self.scale, margin=self.margin, excluded=excluded
        )

    @torch.no_grad()
    def _moved(self, embeddings: Tensor, labels: Tensor, proxies: Tensor) -> Tensor:
        cosine = (unit(embeddings) * unit(proxies.index_select(0, labels.long()))).sum(dim=1)
        return 0.01 * cosine.mean().to(self.t.dtype) + 0.99 * self.t


def _leading(embeddings: Tensor, labels: Tensor, real: int | None) -> tuple[Tensor, Tensor]:
    rows = embeddings.shape[0] if real is None else real
    if not 1 <= rows <= embeddings.shape[0]:
        raise ValueError(f"real counts the rows that are images, 1 to {embeddings.shape[0]}, not {rows}")
    return embeddings[:rows], labels[:rows]


def _check_angle(margin: float | Tensor) -> None:
    """One of a stack of runs is a Tensor whose value nobody can look at; their configurations were checked."""
    if not isinstance(margin, Tensor) and not 0 <= margin <= math.pi:
        raise ValueError(f"the margin is an angle in radians from 0 to pi, not {margin}")


def _sin(angle: float | Tensor) -> float | Tensor:
    return angle.sin() if isinstance(angle, Tensor) else math.sin(angle)


def _cos(angle: float | Tensor) -> float | Tensor:
    return angle.cos() if isinstance(angle, Tensor) else math.cos(angle)


def _increased_angle(cosine: Tensor, margin: float | Tensor) -> Tensor:
    """`cos(theta + margin)` from `cos(theta)`; at the kinks, theta = 0 or pi, the sine counts as constant."""
    square = 1 - cosine.square()
    sine = torch.where(square > 0, square, 1).sqrt() * (square > 0)  # a square root of 0 would make the gradient NaN
    return cosine * _cos(margin) - sine * _sin(margin)


def _multiplied_angle(cosine: Tensor, margin: int) -> Tensor:
    """SphereFace's psi(theta) from `cos(theta)`."""
    angle = cosine.detach().clamp(-1, 1).acos()
    k = (angle * (margin / math.pi)).floor()
    return (1 - 2 * (k % 2)) * _chebyshev(cosine, margin) - 2 * k


def _chebyshev(cosine: Tensor, degree: int) -> Tensor:
    """`cos(degree * theta)` as a polynomial of `cos(theta)`: T_n = 2 c T_(n-1) - T_(n-2)."""
    previous, current = torch.ones_like(cosine), cosine
    for _ in range(degree - 1):
        previous, current = current, 2 * cosine * current - previous
    return current
