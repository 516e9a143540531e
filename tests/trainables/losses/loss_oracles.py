"""Cross entropies written out in loops, and batches to compare with them."""

from collections.abc import Callable

import torch
from torch import Tensor

Logit = Callable[[int, int], Tensor]


def dot(a: Tensor, b: Tensor) -> Tensor:
    return sum((a[d] * b[d] for d in range(len(a))), torch.zeros((), dtype=a.dtype))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())


def mean_cross_entropy(logit: Logit, labels: Tensor, classes: int, excluded: Tensor | None = None) -> Tensor:
    """Mean of `-log softmax` of the logits (row, class), over the classes that exist for the row."""
    total = torch.zeros((), dtype=torch.float64)
    for i, label in enumerate(labels.tolist()):
        seen = [c for c in range(classes) if excluded is None or not excluded[i, c]]
        largest = max(float(logit(i, c).detach()) for c in seen)
        total = total - logit(i, label) + largest + sum((logit(i, c) - largest).exp() for c in seen).log()
    return total / len(labels)


def batch(
    rows: int = 7, classes: int = 5, dim: int = 4, *, centers: int = 1, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Raw vectors of various lengths; every third row points away from its class, the last class never occurs."""
    source = torch.Generator().manual_seed(seed)
    e = torch.randn(rows, dim, generator=source, dtype=torch.float64) * 3
    p = torch.randn(classes * centers, dim, generator=source, dtype=torch.float64) / 2
    y = torch.arange(rows) % max(1, classes - 1)
    e[::3] = e[::3] / 8 - 4 * p[y[::3] * centers]
    return e.requires_grad_(), y, p.requires_grad_()


def some_excluded(labels: Tensor, classes: int) -> Tensor:
    """About half of the classes of each row, never its own."""
    source = torch.Generator().manual_seed(7)
    chosen = torch.rand(len(labels), classes, generator=source) < 0.5
    return chosen.scatter(1, labels[:, None], False)


def gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, inputs))


def assert_same(first: Tensor, second: Tensor, *inputs: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)
    for got, expected in zip(gradients(first, *inputs), gradients(second, *inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def at_angles(*angles: float) -> Tensor:
    """Unit vectors [N, 2] at angles to the first axis, in radians."""
    values = torch.tensor(angles, dtype=torch.float64)
    return torch.stack([values.cos(), values.sin()], dim=1)
