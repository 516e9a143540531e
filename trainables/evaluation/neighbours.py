"""The nearest images of some queries: what a gallery of retrievals shows."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.evaluation.scoring import PREPARED, Distance


def nearest(
    embeddings: Tensor, queries: NDArray[np.int64], searched: NDArray[np.int64], *, k: int, distance: Distance
) -> NDArray[np.int64]:
    """[Q, k] Rows of the nearest images of every query, itself left out, the nearest first.

    Args:
        embeddings: [N, D], raw.
        queries: [Q] rows.
        searched: [M] rows among which neighbours are looked for; k is at most M - 1.
    """
    vectors = PREPARED[distance](embeddings.double())
    distances = torch.cdist(vectors[queries], vectors[searched])
    distances[torch.from_numpy(queries)[:, None] == torch.from_numpy(searched)[None]] = torch.inf
    found = distances.topk(min(k, len(searched) - 1), largest=False, sorted=True).indices
    return np.asarray(searched[found.numpy()])
