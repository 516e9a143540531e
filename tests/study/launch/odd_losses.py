"""A plug-in for tests: norm-softmax that is slow, that raises, or that takes its process down."""

import os
import time
from typing import ClassVar, Literal

from torch import Tensor

from trainables.losses import LOSSES
from trainables.losses import functional as F
from trainables.losses.config import NormSoftmax


class Slow(NormSoftmax):
    """Sleeps SLOW_SECONDS in each step: time for a test to act, which does not change a number."""

    name: Literal["slow"] = "slow"  # type: ignore[assignment]
    implementation: ClassVar[str] = "odd_losses:slow"


class Broken(NormSoftmax):
    """Raises."""

    name: Literal["broken"] = "broken"  # type: ignore[assignment]
    implementation: ClassVar[str] = "odd_losses:broken"


class Deadly(NormSoftmax):
    """Ends its process without a word, like the kernel does to a process that takes too much memory."""

    name: Literal["deadly"] = "deadly"  # type: ignore[assignment]
    implementation: ClassVar[str] = "odd_losses:deadly"


def slow(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    time.sleep(float(os.environ.get("SLOW_SECONDS", "0")))
    return F.norm_softmax(embeddings, labels, proxies, scale=scale)


def broken(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    raise RuntimeError("no such luck")


def deadly(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    os._exit(1)


LOSSES.update(slow=Slow, broken=Broken, deadly=Deadly)
