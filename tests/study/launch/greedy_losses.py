"""A plug-in for tests: norm-softmax that runs out of GPU memory where its trial has less than half a GPU."""

from itertools import count
from typing import ClassVar, Literal

import ray
import torch
from torch import Tensor

from trainables.losses import LOSSES
from trainables.losses import functional as F
from trainables.losses.config import NormSoftmax

_EPOCH = 4
"""Steps of the tests' runs."""
_steps = count()


class Greedy(NormSoftmax):
    """Trains one epoch; then it needs half a GPU."""

    name: Literal["greedy"] = "greedy"  # type: ignore[assignment]
    implementation: ClassVar[str] = "greedy_losses:greedy"


class Insatiable(NormSoftmax):
    """Needs more than a whole GPU."""

    name: Literal["insatiable"] = "insatiable"  # type: ignore[assignment]
    implementation: ClassVar[str] = "greedy_losses:insatiable"


def greedy(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    if next(_steps) >= _EPOCH and ray.get_runtime_context().get_assigned_resources()["GPU"] < 0.5:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return F.norm_softmax(embeddings, labels, proxies, scale=scale)


def insatiable(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 200.00 GiB.")


LOSSES.update(greedy=Greedy, insatiable=Insatiable)
