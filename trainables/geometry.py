"""Directions in the embedding space, in at least single precision. Losses, syntheses and metrics share them.

Cosines are multiplied by scales of 12 to 64 and exponentiated: bfloat16 resolves 1/256 below 1, a quarter of a logit
at scale 64, and float16 overflows at an exponent of 11. So half inputs are widened before they are normalized.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.nn import functional as F


def widened(values: Tensor) -> Tensor:
    """The same values in float32 where they are narrower; float32 and float64 as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def unit(vectors: Tensor) -> Tensor:
    """Rows [N, D] divided by `max(norm, 1e-12)`, in at least float32."""
    return F.normalize(widened(vectors), dim=-1)


def lipschitz(vectors: Tensor) -> Tensor:
    """Rows [..., D] brought to a norm of at most 1: `v` where |v| <= 1, `v / |v|` where it is longer; at least float32.

    Source: Gurbuz et al., "Deep Metric Learning with Chance Constraints", WACV 2024, released code.
    """
    rows = widened(vectors)
    norms = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / torch.where(norms > 1, norms, 1.0)


def cosines(embeddings: Tensor, proxies: Tensor) -> Tensor:
    """Cosines [B, P] between all rows of [B, D] and [P, D], in at least float32, also inside an autocast region."""
    return products(unit(embeddings), unit(proxies))


def products(rows: Tensor, columns: Tensor) -> Tensor:
    """Scalar products [B, P] between all rows of [B, D] and [P, D], in the wider of their types, never by autocast."""
    dtype = torch.promote_types(rows.dtype, columns.dtype)
    with torch.autocast(device_type=rows.device.type, enabled=False):
        return rows.to(dtype) @ columns.to(dtype).T


def check_batch(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, centers_per_class: int = 1) -> None:
    """Refuses a batch that fits no formula: embeddings [B, D], labels [B] in 0..C-1, proxies [C * K, D].

    The range of labels is checked on the CPU only: on a GPU it would wait for the device at every step.

    Raises:
        ValueError: shapes that do not belong together, an empty batch, labels that are no integers or out of range.
    """
    shapes = f"embeddings {list(embeddings.shape)}, labels {list(labels.shape)}, proxies {list(proxies.shape)}"
    if embeddings.ndim != 2 or labels.ndim != 1 or proxies.ndim != 2:
        raise ValueError(f"expected embeddings [B, D], labels [B] and proxies [C, D]; got {shapes}")
    if embeddings.shape[1] != proxies.shape[1]:
        raise ValueError(f"embeddings and proxies differ in their dimension D: {shapes}")
    if embeddings.shape[0] != labels.shape[0]:
        raise ValueError(f"embeddings and labels differ in their number of rows B: {shapes}")
    if proxies.shape[0] == 0 or proxies.shape[0] % centers_per_class:
        raise ValueError(f"proxies need {centers_per_class} rows for each of at least one class: {shapes}")
    check_labels(labels, proxies.shape[0] // centers_per_class)


_stacked = ContextVar("stacked", default=False)


@contextmanager
def stack_of_runs() -> Iterator[None]:
    """A region in which tensors stand for those of several runs (`vmap`): nobody can look at their values."""
    token = _stacked.set(True)
    try:
        yield
    finally:
        _stacked.reset(token)


def stacked() -> bool:
    """Whether this is in a `stack_of_runs`."""
    return _stacked.get()


def values_visible(labels: Tensor) -> bool:
    """Whether the values of labels may be looked at: on the CPU, outside `stack_of_runs`."""
    return labels.device.type == "cpu" and not stacked()


def check_labels(labels: Tensor, classes: int) -> None:
    """The part of `check_batch` that looks at labels [B] alone."""
    if labels.numel() == 0:
        raise ValueError("the batch is empty: labels [0]")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels are class indices and must be integers, not {labels.dtype}")
    if not values_visible(labels):
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels range from {low} to {high}, outside 0..{classes - 1} of {classes} classes")
