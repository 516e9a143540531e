"""Factors on the learning rate, as functions of the epoch (from 0) and step: nothing to save, nothing to restore."""

import math

from trainables.training.schedule_config import Constant, Cosine, InverseTime, Step


def constant(config: Constant, *, epoch: int, epochs: int, steps: int = 0) -> float:
    """1 throughout."""
    return 1.0


def step(config: Step, *, epoch: int, epochs: int, steps: int = 0) -> float:
    """gamma to the number of whole `every` epochs so far; no further drop after epoch `until`."""
    counted = epoch if config.until is None else min(epoch, config.until)
    return float(config.gamma ** (counted // config.every))


def cosine(config: Cosine, *, epoch: int, epochs: int, steps: int = 0) -> float:
    """Half a cosine from 1 at the first epoch to 0 after the last."""
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def inverse_time(config: InverseTime, *, epoch: int, epochs: int, steps: int = 0) -> float:
    """1 / (1 + decay t).

    Args:
        steps: optimisation steps before this one, t, over all epochs.
    """
    return 1 / (1 + config.decay * steps)


def warmup(*, epoch: int, step_share: float, warmup_epochs: int) -> float:
    """Linear rise over the first epochs, by step.

    Args:
        step_share: share of this epoch's steps that are done after this one, in (0, 1].
    """
    if epoch >= warmup_epochs:
        return 1.0
    return (epoch + step_share) / warmup_epochs
