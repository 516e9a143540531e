"""A plug-in for tests: norm-softmax that trains only where a variable of the driver has arrived."""

import os
from typing import ClassVar, Literal

from torch import Tensor

from trainables.losses import LOSSES
from trainables.losses import functional as F
from trainables.losses.config import NormSoftmax


class Carried(NormSoftmax):
    """Needs TORCH_HOME to be what the test gives the command."""

    name: Literal["carried"] = "carried"  # type: ignore[assignment]
    implementation: ClassVar[str] = "carried_loss:carried"


def carried(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    assert os.environ["TORCH_HOME"] == "/of/the/driver"
    return F.norm_softmax(embeddings, labels, proxies, scale=scale)


LOSSES.update(carried=Carried)
