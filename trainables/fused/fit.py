"""A fit whose epochs are trained together with those of others, and that epoch."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.errors import TrainingError
from trainables.fused.mixing import Stacked, stacked_mixtures
from trainables.fused.stack import Stack, StepInputs
from trainables.step import Step
from trainables.strategies.base import EpochRow
from trainables.strategies.plain import Plain
from trainables.synthesis import config as configs
from trainables.synthesis.proxy_synthesis import ProxySynthesis
from trainables.training.data import RunData
from trainables.training.fit import EpochStats, Fit
from trainables.training.inputs import Resident


@dataclass(frozen=True)
class _Trained:
    """An epoch that is done and not yet counted."""

    batches: list[np.ndarray]
    mean_loss: float
    seconds: float


class FusedFit(Fit):
    """Its `train_epoch` takes what `train_together` has done; everything else is as ever."""

    _stack: Stack | None = None
    _trained: _Trained | None = None

    def train_epoch(self) -> EpochStats:
        """Counts the epoch that `train_together` has trained.

        Raises:
            TrainingError: the loss became NaN or infinite.
        """
        trained, self._trained = self._trained, None
        assert trained is not None, "the group trains an epoch before its members count it"
        return self.epoch_over(trained.batches, trained.mean_loss, trained.seconds)

    def state_dict(self) -> dict[str, Any]:
        if self._stack is not None and self in self._stack.slots:
            self._stack.write_back(self)
        return super().state_dict()

    @property
    def companions(self) -> int:
        """How many runs train together with this one, itself included."""
        return self._stack.size if self._stack is not None else 1

    def trained(self, stack: Stack, done: _Trained) -> None:
        """An epoch was trained in a stack."""
        self._stack, self._trained = stack, done


class FusedPlain(Plain):
    """The plain strategy of a run that trains together with others."""

    fit: FusedFit

    def _new_fit(self, data: RunData, *, epochs: int) -> FusedFit:
        return FusedFit(self.run, data, epochs=epochs)

    def epoch(self) -> EpochRow:
        row = super().epoch()
        return {**row, "extra": {**row["extra"], "fused": float(self.fit.companions)}}

    def ready(self) -> FusedFit:
        """The fit whose epoch comes next."""
        if self.phase == "select" and self._phase_over:
            self._start_refit()
        return self.fit


def train_together(stack: Stack, fits: Mapping[int, FusedFit]) -> None:
    """Trains the next epoch of fits of equal shapes and equal progress, each in its slot of a stack.

    A run whose loss becomes NaN or infinite hears of it when it counts the epoch; the others do not notice.

    Raises:
        TrainingError: batches differ in their number or size.
    """
    start = time.perf_counter()
    stack.hold(fits)
    for fit in fits.values():
        fit.model.train()
    batches = {slot: fit.batches() for slot, fit in fits.items()}
    _require_equal_sizes(batches)
    losses = _steps(stack, fits, batches)
    seconds = (time.perf_counter() - start) / len(fits)  # what the epoch took, shared out
    for slot, fit in fits.items():
        fit.trained(stack, _Trained(batches[slot], losses[slot], seconds))


def _require_equal_sizes(batches: Mapping[int, list[np.ndarray]]) -> None:
    sizes = {tuple(map(len, each)) for each in batches.values()}
    if len(sizes) > 1:
        raise TrainingError(f"runs that train together have batches of different sizes: {sorted(sizes)}")


def _steps(stack: Stack, fits: Mapping[int, FusedFit], batches: Mapping[int, list[np.ndarray]]) -> list[float]:
    """Mean loss of every slot over the steps of an epoch."""
    count, any_fit = len(next(iter(batches.values()))), next(iter(fits.values()))
    frozen = ("backbone",) if any_fit.epoch < any_fit.run.training.warmup_epochs else ()
    trained = [name for name in stack.groups if name not in frozen]
    rates = _rates(stack, fits, count)
    numbers = stack.numbers(fits)
    total = torch.zeros(stack.size, device=stack.device, dtype=torch.float64)
    for index in range(count):
        given = _given(stack, fits, {slot: each[index] for slot, each in batches.items()}, index)
        total += stack.step(given, {name: rates[name][index] for name in trained}, numbers)
    stack.count(list(fits), trained, count)
    return [value / count for value in total.tolist()]


def _rates(stack: Stack, fits: Mapping[int, FusedFit], count: int) -> dict[str, Tensor]:
    """By group [count, K, M]: one transfer to the device for an epoch."""
    steps = []
    for index in range(count):
        for fit in fits.values():
            fit.set_rates(index, count)
        steps.append(stack.rates(fits, done=index))
    return {
        name: torch.stack([step[name] for step in steps]).to(stack.device, stack.dtype, non_blocking=True)
        for name in stack.groups
    }


def _given(stack: Stack, fits: Mapping[int, FusedFit], batches: Mapping[int, np.ndarray], index: int) -> StepInputs:
    """What the slots see in a step; a slot without a fit sees what the first fit does."""
    first = next(iter(fits))
    slots = [slot if slot in fits else first for slot in range(stack.size)]
    labels = {slot: torch.from_numpy(fit.data.split.train_labels[batches[slot]]) for slot, fit in fits.items()}
    return StepInputs(
        inputs=_inputs(fits, batches, slots, index).to(stack.dtype),
        labels=torch.stack([labels[slot] for slot in slots]).to(stack.device, non_blocking=True),
        mixtures=_mixtures(stack, fits, labels, slots, index),
    )


def _inputs(fits: Mapping[int, FusedFit], batches: Mapping[int, np.ndarray], slots: list[int], index: int) -> Tensor:
    """[M, B, ...]; where nothing is random about them, all at once."""
    fit = fits[slots[0]]
    sources = {id(inputs.tensor) if isinstance(inputs := each.data.inputs, Resident) else 0 for each in fits.values()}
    seen_as_stored = fit.data.cached_features or not (fit.run.augmentation.crops or fit.run.augmentation.flip)
    if len(sources) == 1 and sources != {0} and seen_as_stored:
        positions = np.concatenate([fits[slot].data.split.train[batches[slot]] for slot in slots])
        return torch.unflatten(fit.inputs_at(positions, Step(0, 0, 0)), 0, (len(slots), -1))
    seen = {
        slot: each.training_inputs(batches[slot], Step(each.run.seed, each.epoch, index)) for slot, each in fits.items()
    }
    return torch.stack([seen[slot] for slot in slots])


def _mixtures(
    stack: Stack, fits: Mapping[int, FusedFit], labels: Mapping[int, Tensor], slots: list[int], index: int
) -> Stacked | None:
    config, drawn, count = fits[slots[0]].run.synthesis, {}, 0
    for slot, fit in fits.items():
        classes = fit.loss.classes
        if isinstance(fit.synthesis, ProxySynthesis) and classes is not None:
            drawn[slot] = fit.synthesis.draw(labels[slot], classes, Step(fit.run.seed, fit.epoch, index))
            count = classes.count
    if not isinstance(config, configs.ProxySynthesis):
        return None
    listed, batch = [drawn[slot] for slot in slots], len(labels[slots[0]])
    return stacked_mixtures(listed, config, batch=batch, classes=count, device=stack.device)
