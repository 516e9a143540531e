"""Who is mixed with whom: for every round and every sample i of a batch its partner, int64 [R, B].

A ratio up to 1 takes partners from one round, one up to 2 from two rounds, and so on.
"""

import numpy as np
import torch
from torch import Tensor

from trainables.classes import Classes
from trainables.geometry import cosines, unit


def predecessors(batch: int, rounds: int, *, device: torch.device | None = None) -> Tensor:
    """In round r (from 1) sample i - r, around the end of the batch: the published pairing and its continuation."""
    sample = torch.arange(batch, device=device)
    return (sample - torch.arange(1, rounds + 1, device=device)[:, None]) % batch


def permuted(batch: int, rounds: int, source: np.random.Generator) -> Tensor:
    """In every round another random permutation; a sample can be its own partner until it is re-paired."""
    drawn = [source.permutation(batch) for _ in range(rounds)]
    return torch.from_numpy(np.asarray(drawn, dtype=np.int64).reshape(rounds, batch))


@torch.no_grad()
def nearest_proxies(labels: Tensor, classes: Classes, rounds: int) -> Tensor:
    """In round r the r-th of the other classes' samples, those with the proxies most similar to one's own first.

    Similarity is the cosine between proxies, between the means of unit centers where a class has several. Samples of
    one class are equally near; of those comes first whoever stands closest before the sample in the batch. After the
    last one it begins again. In a batch of one class a sample is its own partner.
    """
    values, where = np.unique(labels.cpu().numpy(), return_inverse=True)
    present = torch.from_numpy(values).to(classes.weights.device)
    centers = classes.weights.reshape(classes.count, classes.centers_per_class, -1).index_select(0, present)
    means = unit(centers).mean(dim=1)
    similarity = cosines(means, means).cpu().numpy()[np.ix_(where, where)]
    foreign = where[:, None] != where[None, :]
    sample = np.arange(len(where))
    steps_back = (sample[:, None] - sample[None, :]) % len(where)
    order = np.lexsort((steps_back, -np.where(foreign, similarity, -np.inf)))
    candidates = foreign.sum(axis=1)
    turns = [np.where(candidates > 0, r % np.maximum(candidates, 1), 0) for r in range(rounds)]
    chosen = [np.where(candidates > 0, order[sample, turn], sample) for turn in turns]
    return torch.from_numpy(np.asarray(chosen, dtype=np.int64).reshape(rounds, len(where)))
