"""Losses over many classes in bounded memory: computed piece by piece, and each piece again in the backward pass.

At 100,000 classes, or with the classes and rows of forty past steps, rows by classes are billions of logits. A matrix
of more than `LIMIT` entries is never held; up to it a loss is computed at once. So are those of runs that train
together: where they do not fit, the runs go on one by one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from trainables.geometry import stacked

LIMIT = 2**25
"""Entries of a matrix of rows by classes: 128 MiB in float32. A loss holds about five at once."""


def mean_over_rows(terms: Callable[..., Tensor], *per_row: Tensor | None, columns: int) -> Tensor:
    """`terms(*per_row)`, a mean over rows, from pieces of the rows where all are too many.

    Args:
        terms: a pure function of tensors; what it closes over may need gradients too.
        per_row: [B, ...] each, or None; the first is not None.
        columns: entries that a row needs.
    """
    count = _length(per_row)
    if _at_once(count * columns):
        return terms(*per_row)
    total = torch.zeros((), dtype=torch.float64, device=_first(per_row).device)
    for start in range(0, count, _pieces_of(columns)):
        piece = [None if each is None else each[start : start + _pieces_of(columns)] for each in per_row]
        total = total + _again(terms, *piece) * _length(piece)
    return (total / count).to(_first(per_row).dtype)


def by_columns(terms: Callable[[Tensor, int], Tensor], columns: Tensor, *, rows: int) -> Tensor:
    """`terms(columns, 0)`, [..., C] with an entry for each column, from pieces of the columns where all are too many.

    Args:
        terms: gets a piece of the columns, and how many come before it.
        columns: [C, D].
        rows: entries that a column needs.
    """
    if _at_once(rows * len(columns)):
        return terms(columns, 0)
    size = _pieces_of(rows)
    starts = range(0, len(columns), size)
    return torch.cat([_again(terms, columns[start : start + size], start) for start in starts], dim=-1)


def _at_once(entries: int) -> bool:
    return entries <= LIMIT or stacked()


def _again(terms: Callable[..., Tensor], *arguments: Any) -> Tensor:
    result: Tensor = checkpoint(terms, *arguments, use_reentrant=False, preserve_rng_state=False)
    return result


def _pieces_of(entries: int) -> int:
    return max(1, LIMIT // entries)


def _first(tensors: Any) -> Tensor:
    first: Tensor = tensors[0]
    return first


def _length(tensors: Any) -> int:
    return len(_first(tensors))
