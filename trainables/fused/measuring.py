"""Validation of runs that train together: their embeddings, and where labels are classes their metrics, at once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainables.evaluation.scoring import held_at_once
from trainables.evaluation.stacked import stacked_metrics
from trainables.fused.inputs import StackedInputs
from trainables.fused.stack import Stack
from trainables.model import autocast
from trainables.training.fit import Fit

if TYPE_CHECKING:
    from trainables.fused.fit import FusedFit


@dataclass(frozen=True)
class Validation:
    """What a group has found for one of its runs.

    Attributes:
        embeddings: raw, [N, D], of the validation images.
        metrics: of these, None where the run has to measure them by itself.
        seconds: the run's share of the time.
    """

    embeddings: Tensor
    metrics: dict[str, float] | None
    seconds: float


def measure_together(stack: Stack, fits: "Mapping[int, FusedFit]") -> None:
    """Measures fits that have just trained together; each gets what concerns it.

    All slots are computed, so that a run's numbers do not depend on which others are there. A validation set whose
    embeddings are too many to be held at once is left to each run by itself: it keeps a device busy.
    """
    start = time.perf_counter()
    fit = next(iter(fits.values()))
    weights = fit.model.head.weight
    if stack.size * len(fit.data.split.val) * len(weights) > held_at_once(weights):
        return
    embeddings = _embeddings(stack, StackedInputs(fits, stack.size), fit)
    metrics = _metrics(fit, embeddings)
    seconds = (time.perf_counter() - start) / len(fits)
    for slot, each in fits.items():
        each.validation = Validation(embeddings[slot], metrics[slot], seconds)


def _embeddings(stack: Stack, inputs: StackedInputs, fit: Fit) -> Tensor:
    """[M, N, D]; no more images at a time than a step trains on."""
    positions, at_once = fit.data.split.val, fit.run.training.batch_size
    chunks = [positions[start : start + at_once] for start in range(0, len(positions), at_once)]
    with autocast(fit.run):
        return torch.cat([stack.embed(shown) for shown in inputs.evaluated(chunks)], dim=1)


def _metrics(fit: Fit, embeddings: Tensor) -> list[dict[str, float] | None]:
    if fit.data.images.targets is not None:
        return [None] * len(embeddings)
    protocol = fit.run.protocol
    ks = sorted({1, *protocol.ks})
    return stacked_metrics(embeddings, fit.data.split.val_labels, ks=ks, distance=protocol.distance)
