"""A plug-in for tests: norm-softmax that is slow, that raises, that wants more memory, or that ends its process."""

import os
import time
from itertools import count
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from trainables.losses import LOSSES
from trainables.losses import functional as F
from trainables.losses.config import NormSoftmax


class Slow(NormSoftmax):
    """Sleeps SLOW_SECONDS in each step, until there is a file HURRY: time for a test to act; it changes no number."""

    name: Literal["slow"] = "slow"  # type: ignore[assignment]
    fuses: ClassVar[bool] = True
    implementation: ClassVar[str] = "odd_losses:slow"


class Broken(NormSoftmax):
    """Raises."""

    name: Literal["broken"] = "broken"  # type: ignore[assignment]
    implementation: ClassVar[str] = "odd_losses:broken"


class Deadly(NormSoftmax):
    """Ends its process without a word, like the kernel does to a process that takes too much memory."""

    name: Literal["deadly"] = "deadly"  # type: ignore[assignment]
    implementation: ClassVar[str] = "odd_losses:deadly"


class Greedy(NormSoftmax):
    """Trains one epoch on any share of a GPU; then it needs half of it."""

    name: Literal["greedy"] = "greedy"  # type: ignore[assignment]
    implementation: ClassVar[str] = "odd_losses:greedy"


class Insatiable(NormSoftmax):
    """Needs more memory than a whole GPU has."""

    name: Literal["insatiable"] = "insatiable"  # type: ignore[assignment]
    implementation: ClassVar[str] = "odd_losses:insatiable"


_EPOCH = 4
"""Steps of the tests' runs."""
_steps = count()


def slow(
    embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float, excluded: Tensor | None = None
) -> Tensor:
    hurry = Path(os.environ.get("HURRY", "")).is_file()
    time.sleep(0.0 if hurry else float(os.environ.get("SLOW_SECONDS", "0")))
    return F.norm_softmax(embeddings, labels, proxies, scale=scale, excluded=excluded)


def broken(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    raise RuntimeError("no such luck")


def deadly(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    os._exit(1)


def greedy(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    import ray

    if next(_steps) >= _EPOCH and ray.get_runtime_context().get_assigned_resources()["GPU"] < 0.5:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return F.norm_softmax(embeddings, labels, proxies, scale=scale)


def insatiable(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 200.00 GiB.")


LOSSES.update(slow=Slow, broken=Broken, deadly=Deadly, greedy=Greedy, insatiable=Insatiable)
