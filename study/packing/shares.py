"""Fractions of a GPU of which a whole number fits on it."""

import math
from dataclasses import dataclass

_STEPS = 10_000
"""Ray counts ten-thousandths of a GPU."""
_GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU.

    Attributes:
        memory: bytes; 0 where it is unknown.
    """

    name: str
    memory: int

    @property
    def title(self) -> str:
        """ "NVIDIA H200, 139.8 GiB"."""
        return f"{self.name}, {in_gib(self.memory)}" if self.memory else "unknown GPU"


def share_of(need: float, memory: float) -> float:
    """The share of a GPU for a training that needs so many bytes of its memory; 1 where none else fits beside it."""
    return _fraction(int(memory / need))


def larger(share: float) -> float:
    """At least twice the share; 1 where only one of that size would fit."""
    return _fraction(per_gpu(share) // 2)


def per_gpu(share: float) -> int:
    """How many trainings with this share are on one GPU."""
    return int(1 / share + 1e-9)


def _fraction(trials: int) -> float:
    """Rounded down: three thirds are no more than one GPU."""
    return math.floor(_STEPS / max(1, min(trials, _STEPS))) / _STEPS


def in_words(share: float) -> str:
    """ "4 trials per GPU"."""
    trials = per_gpu(share)
    return f"{trials} trials per GPU" if trials > 1 else "1 trial per GPU"


def in_gib(size: float) -> str:
    """ "9.5 GiB"."""
    return f"{size / _GIB:.3g} GiB" if size < 100 * _GIB else f"{size / _GIB:.0f} GiB"
