"""Where a run stops itself: cutoffs that travel with it, and the curve that they are compared with.

Free of torch: a worker and the search that gave the cutoffs judge a curve by the same function.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from trainables.config import RunConfig
from trainables.metrics import sign

Cutoffs = Mapping[int, float]
"""Epoch -> value of the validation metric that a run has to reach there to go on."""
NO_CUTOFFS: Cutoffs = MappingProxyType({})


@dataclass(frozen=True)
class Curve:
    """Validation of one run.

    Attributes:
        values: epoch (from 1) -> value of the metric, for evaluated epochs.
        steps: of the first epoch.
    """

    values: Mapping[int, float]
    steps: int = 1

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], *, metric: str) -> "Curve":
        """The curve in a run's rows of table `epochs`, as they were made or as they were read.

        Args:
            rows: of any order.
            metric: without `val_`.
        """
        found, column = list(rows), f"val_{metric}"
        measured = ((row["epoch"], row.get(column, dict(row["extra"] or {}).get(column))) for row in found)
        values = {epoch: value for epoch, value in measured if value is not None}
        return cls(values, min(found, key=lambda row: row["epoch"])["steps"] if found else 1)


def warm_up(run: RunConfig, *, steps: int | None = None) -> int:
    """First epochs in which nobody may judge a run: of the synthesis, of a frozen backbone, of the learning rate.

    Args:
        steps: of an epoch, which the time to fill a memory depends on; without, the least that is known.
    """
    synthesis, training = run.synthesis, run.training
    grace = synthesis.grace_epochs if steps is None else synthesis.grace_epochs_at(steps)
    return max(grace, training.warmup_epochs, training.lr_warmup_epochs)


def judged(run: RunConfig, curve: Curve) -> dict[int, float]:
    """The values of a curve after the warm-up."""
    first = warm_up(run, steps=curve.steps)
    return {epoch: value for epoch, value in curve.values.items() if epoch > first}


def unreachable(epoch: int, *, metric: str) -> Cutoffs:
    """Cutoffs that stop a run after an evaluated epoch, whatever its value: somebody else decided so."""
    return {epoch: sign(metric) * math.inf}


def stopped_after(run: RunConfig, curve: Curve, cutoffs: Cutoffs) -> int | None:
    """The first epoch with a value worse than its cutoff, NaN included; None where the run goes on.

    Cutoffs within a warm-up are passed over.
    """
    better, values = sign(run.protocol.select_by), judged(run, curve)
    reached = (epoch for epoch in sorted(cutoffs) if epoch in values)
    return next((epoch for epoch in reached if not better * values[epoch] >= better * cutoffs[epoch]), None)
