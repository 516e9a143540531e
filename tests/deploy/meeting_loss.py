"""A plug-in for tests: norm-softmax that trains nowhere before it trains on two machines."""

import os
import socket
import time
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from trainables.losses import LOSSES
from trainables.losses import functional as F
from trainables.losses.config import NormSoftmax

_LIMIT_SECONDS = 240.0


class Meeting(NormSoftmax):
    """Waits in the folder MEETING until somebody on another machine waits there, too."""

    name: Literal["meeting"] = "meeting"  # type: ignore[assignment]
    implementation: ClassVar[str] = "meeting_loss:meeting"


def meeting(embeddings: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    place = Path(os.environ["MEETING"])
    (place / socket.gethostname()).touch()
    until = time.monotonic() + _LIMIT_SECONDS
    while len(list(place.iterdir())) < 2:
        assert time.monotonic() < until, "the other machine did not come"
        time.sleep(0.05)
    return F.norm_softmax(embeddings, labels, proxies, scale=scale)


LOSSES.update(meeting=Meeting)
