"""The terms of L2A as pure functions: what the critic and the generator minimise. Every result is a scalar.

They follow a reconstruction of "Learning to Generate Novel Classes for Deep Metric Learning" (BMVC 2021, arXiv
2201.01008) from its abstract, not the authors' code; the sources named below are those of the single terms.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from trainables.geometry import products, unit
from trainables.losses.bounded import mean_over_rows

__all__ = [
    "between",
    "critic_gap",
    "critic_objective",
    "divergence",
    "gradient_penalty",
    "mode_seeking",
    "realism",
    "weighted_sum",
]

Score = Callable[[Tensor], Tensor]
"""A critic: embeddings [N, D] to scores [N], each a function of its own row."""


def critic_gap(critic: Score, real: Tensor, generated: Tensor) -> Tensor:
    """`E[Q(x)] - E[Q(G)]` of real [N, D] and generated [N', D] embeddings: how well the critic tells them apart."""
    return critic(real).mean() - critic(generated).mean()


def critic_objective(gap: Tensor, penalty: Tensor, *, penalty_weight: float) -> Tensor:
    """What the critic minimises: `E[Q(G)] - E[Q(x)] + penalty_weight * penalty`.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017, equation 3.
    """
    return penalty_weight * penalty - gap


def between(real: Tensor, generated: Tensor, share: Tensor) -> Tensor:
    """Points [N, D] on the segments from generated to real embeddings; share [N] in 0..1 is the real part."""
    return share[:, None] * real + (1 - share[:, None]) * generated


def gradient_penalty(critic: Score, points: Tensor) -> Tensor:
    """`E[(|dQ/dv| - 1)^2]` at points v [N, D], which are constants; differentiable in the critic's weights.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017, equation 3.
    """
    points = points.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    lengths: Tensor = torch.linalg.vector_norm(slopes, dim=1)
    return (lengths - 1).square().mean()


def realism(critic: Score, generated: Tensor) -> Tensor:
    """`-E[Q(G)]`: the generated embeddings [N, D] should score high."""
    return -critic(generated).mean()


def divergence(novel: Tensor, seen: Tensor, *, sharpness: float = 16.0, centers_per_class: int = 1) -> Tensor:
    """How near novel proxies are to the nearest proxies of other classes, smoothly:

        1/M sum_m 1/sharpness log sum_{c != m} exp(sharpness cos(w_m, w_c))    over seen and novel classes c.

    With several centers per class the mean is over all novel centers, and the sum over all centers of other classes.
    It lies above the largest cosine, by at most log(number of other proxies) / sharpness.

    Args:
        novel: [M * K, D], raw.
        seen: [C * K, D], raw.
        sharpness: kappa.
        centers_per_class: K.

    Raises:
        ValueError: no novel proxies, or no proxy of another class.
    """
    if novel.shape[0] == 0 or seen.shape[0] + novel.shape[0] <= centers_per_class:
        raise ValueError(f"no two classes: novel {list(novel.shape)}, seen {list(seen.shape)}, K {centers_per_class}")
    own = torch.arange(novel.shape[0], device=novel.device) // centers_per_class
    other = torch.cat([own.new_full((seen.shape[0],), -1), own])
    columns = unit(torch.cat([seen, novel]))

    def terms(rows: Tensor, own: Tensor) -> Tensor:
        exponents = sharpness * products(rows, columns)
        return exponents.masked_fill(own[:, None] == other, -torch.inf).logsumexp(dim=1).mean() / sharpness

    return mean_over_rows(terms, unit(novel), own, columns=len(columns))


def mode_seeking(
    first: Tensor, second: Tensor, first_noise: Tensor, second_noise: Tensor, *, clip: float = torch.inf
) -> Tensor:
    """`-E[min(|G(z1, c) - G(z2, c)| / |z1 - z2|, clip)]`: one class should not be one point.

    Args:
        first, second: [N, D], embeddings of the same classes.
        first_noise, second_noise: [N, d_z], what they were generated from.
        clip: ratio from which on further distance is no better and has no gradient.

    Source: Mao et al., "Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis", CVPR 2019,
    as a term to minimise; the clip is ours.
    """
    distance: Tensor = torch.linalg.vector_norm(first - second, dim=1)
    noise: Tensor = torch.linalg.vector_norm(first_noise - second_noise, dim=1)
    return -(distance / noise).clamp(max=clip).mean()


def weighted_sum(terms: Mapping[str, Callable[[], Tensor]], weights: Mapping[str, float]) -> Tensor | None:
    """What the generator minimises, `sum weight * term()`; a term of weight 0 is not computed.

    Returns:
        None where every weight is 0.
    """
    weighted = [weights[name] * term() for name, term in terms.items() if weights[name]]
    return torch.stack(weighted).sum() if weighted else None
