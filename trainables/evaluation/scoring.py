"""Scores of queries against a gallery: larger is nearer, and equal items score the same to the last bit."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from trainables.devices import sent
from trainables.geometry import lipschitz, unit, widened

Distance = Literal["cosine", "euclidean", "lipschitz"]

PREPARED: dict[Distance, Callable[[Tensor], Tensor]] = {
    "cosine": unit,
    "euclidean": lambda vectors: vectors,
    "lipschitz": lipschitz,
}


def scorer(items: Tensor, distance: Distance) -> Callable[[Tensor], Tensor]:
    """A function from queries [b, D] to scores [b, N], larger is nearer."""
    prepare = PREPARED[distance]
    prepared = prepare(items)
    # Matrix products round equal columns differently; scoring equal items once keeps their ties exact.
    has_equal_items = False
    if not surely_distinct(prepared):
        distinct, inverse = torch.unique(prepared, dim=0, return_inverse=True)
        has_equal_items = distinct.shape[0] < prepared.shape[0]
        prepared = distinct if has_equal_items else prepared
        del distinct
    if distance != "cosine":
        prepared = prepared.double()
        offsets = prepared.square().sum(dim=1)

    def scores(queries: Tensor) -> Tensor:
        if distance == "cosine":
            result = products(prepare(queries).to(prepared.dtype), prepared)
        else:
            result = 2 * products(prepare(queries).double(), prepared) - offsets  # -|q - g|^2 up to |q|^2
        return result.index_select(1, inverse) if has_equal_items else result

    return scores


_BLOCK = 1024
"""Items whose products are taken at a time: with those of a chunk of queries they stay in a CPU's caches."""

_MANY = 32
"""Queries from which blocks have the bits of one product; of fewer, BLAS computes narrow and wide ones differently."""


@torch.no_grad()
def products(queries: Tensor, items: Tensor) -> Tensor:
    """`queries @ items.T`, also under autocast; in float32 on a CPU by blocks: that is faster and has the same bits."""
    single = queries.device.type == "cpu" and queries.dtype == torch.float32
    with torch.autocast(device_type=queries.device.type, enabled=False):
        if not single or len(items) <= _BLOCK or len(queries) < _MANY:
            return queries @ items.T
        result = queries.new_empty(len(queries), len(items))
        for start in range(0, len(items), _BLOCK):
            first = min(start, len(items) - _BLOCK)  # the last block is as wide as all: a narrow one rounds otherwise
            result[:, first : first + _BLOCK] = queries @ items[first : first + _BLOCK].T
        return result


def surely_distinct(vectors: Tensor) -> bool:
    """Whether no two rows are equal, told by hashes of 64 bits; to sort rows takes seconds and twice their memory."""
    return len(torch.unique(hashes(vectors))) == len(vectors)


def hashes(vectors: Tensor) -> Tensor:
    """int64 [...] for rows [..., D]: equal ones of equal rows, and hardly ever of others."""
    source = torch.Generator().manual_seed(0)
    factors = sent(torch.randint(-(2**62), 2**62, vectors.shape[-1:], generator=source), vectors.device)
    at_once = max(1, held_at_once(vectors) // (8 * vectors.shape[-1]))
    rows = torch.split(vectors.flatten(0, -2), at_once)
    return torch.cat([(_bits(piece) * factors).sum(dim=1) for piece in rows]).view(vectors.shape[:-1])


def _bits(vectors: Tensor) -> Tensor:
    """Floating point numbers as integers, in int64; -0.0 is 0.0."""
    wide = widened(vectors) + 0.0
    return wide.view(torch.int64) if wide.dtype == torch.float64 else wide.view(torch.int32).long()


_CHUNK_ELEMENTS = {"cpu": 2**24, "cuda": 2**27}


def held_at_once(vectors: Tensor) -> int:
    """Upper bound on queries x gallery scores: 64 MB in float32 on a CPU, where products of few rows are slow; 512 MB
    on a GPU, which less leaves idle."""
    return _CHUNK_ELEMENTS.get(vectors.device.type, _CHUNK_ELEMENTS["cpu"])
