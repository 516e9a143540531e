"""The nearest of items that search one another. Their scores are symmetric: each product serves both of its items."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from trainables.evaluation.scoring import Distance, products, surely_distinct
from trainables.geometry import unit

_BLOCK = 2048
"""Items of a side of a block; its scores take 16 MB."""

DEEPEST = 20
"""Candidates that are kept of every item; from a sixty-fourth of a block on, to select them costs what is gained."""


@dataclass(frozen=True)
class Candidates:
    """The best scores of every item, in falling order, and whose they are: [N, C] each."""

    values: Tensor
    index: Tensor

    def improve(self, rows: slice, scores: Tensor, first: int) -> None:
        """Takes up scores [rows, b] of the items from `first` on."""
        found = scores.topk(min(self.values.shape[1], scores.shape[1]), dim=1)
        values = torch.cat([self.values[rows], found.values], dim=1)
        index = torch.cat([self.index[rows], found.indices + first], dim=1)
        best = values.topk(self.values.shape[1], dim=1)
        self.values[rows], self.index[rows] = best.values, index.gather(1, best.indices)


@torch.no_grad()
def nearest_of_one_another(items: Tensor, count: int, *, distance: Distance) -> Candidates | None:
    """The `count` best scores of every item [N, D] among the others, bit for bit those of `scorer`.

    None where halving the products gains nothing or loses bits: few items, many candidates, another distance than
    "cosine", another precision than float32, equal items (whose ties `scorer` keeps exact), or a GPU (not measured).
    """
    if distance != "cosine" or items.device.type != "cpu" or len(items) < 2 * _BLOCK or count > DEEPEST:
        return None
    prepared = unit(items)
    if prepared.dtype != torch.float32 or not surely_distinct(prepared):
        return None
    shape = (len(items), count)
    candidates = Candidates(torch.full(shape, -torch.inf), torch.zeros(shape, dtype=torch.int64))
    blocks = _blocks(len(items))
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            scores = products(prepared[rows], prepared[columns])
            if rows == columns:
                scores.fill_diagonal_(-torch.inf)
            else:
                candidates.improve(columns, scores.T.contiguous(), rows.start)
            candidates.improve(rows, scores, columns.start)
    return candidates


def _blocks(length: int) -> list[slice]:
    """Nearly equal ones: products of a narrow rest would be rounded otherwise."""
    number = -(-length // _BLOCK)
    bounds = [length * each // number for each in range(number + 1)]
    return [slice(start, end) for start, end in pairwise(bounds)]
