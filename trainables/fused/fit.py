"""A fit whose epochs are trained together with those of others, and that epoch."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainables.devices import sent
from trainables.errors import TrainingError
from trainables.fused.inputs import StackedInputs
from trainables.fused.measuring import Validation
from trainables.fused.network import Owner
from trainables.fused.stack import Stack
from trainables.strategies.base import EpochRow
from trainables.strategies.plain import Plain
from trainables.training.data import RunData
from trainables.training.fit import EpochStats, Fit
from trainables.training.measure import measure


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
    validation: Validation | None = None
    """Of the epoch that was trained last, where the group has measured it."""

    def train_epoch(self) -> EpochStats:
        """Counts the epoch that `train_together` has trained.

        Raises:
            TrainingError: the loss became NaN or infinite.
        """
        trained, self._trained = self._trained, None
        assert trained is not None, "the group trains an epoch before its members count it"
        return self.epoch_over(trained.batches, trained.mean_loss, trained.seconds)

    def weights(self) -> dict[str, Any]:
        if self._stack is None or self not in self._stack.slots:
            return super().weights()
        own = self._stack.on_cpu(self)
        parts: tuple[tuple[Owner, nn.Module], ...] = (("model", self.model), ("loss", self.loss))
        if any((name, key) not in own for name, part in parts for key in part.state_dict()):
            return super().weights()  # a plug-in's module shares tensors among names, or has more than tensors
        return {name: {key: own[name, key].clone() for key in part.state_dict()} for name, part in parts}

    def load_weights(self, weights: dict[str, Any]) -> None:
        super().load_weights(weights)
        if self._stack is not None:
            self._stack.forget()

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
        self._stack, self._trained, self.validation = stack, done, None


class FusedPlain(Plain):
    """The plain strategy of a run that trains together with others."""

    fit: FusedFit

    def _new_fit(self, data: RunData, *, epochs: int) -> FusedFit:
        return FusedFit(self.run, data, epochs=epochs)

    def epoch(self) -> EpochRow:
        row = super().epoch()
        shared, self.fit.validation = self.fit.validation, None
        seconds = row["eval_seconds"] + (shared.seconds if shared else 0)
        return {**row, "eval_seconds": seconds, "extra": {**row["extra"], "fused": float(self.fit.companions)}}

    def _measure(self, part: Literal["val", "test"]) -> dict[str, float]:
        shared = self.fit.validation
        if part == "test" or shared is None:
            return super()._measure(part)
        return shared.metrics or measure(self.run, self.data, shared.embeddings, part).metrics

    def ready(self) -> FusedFit:
        """The fit whose epoch comes next."""
        if self.phase == "select" and self._phase_over:
            self._start_refit()
        return self.fit

    @property
    def validates_next(self) -> bool:
        """Whether the epoch that comes next is measured on validation classes."""
        return self._validates and self._evaluation_due(self.fit.epoch + 1)


def train_together(stack: Stack, fits: Mapping[int, FusedFit]) -> None:
    """Trains the next epoch of fits of equal shapes and equal progress, each in its slot of a stack.

    A run whose loss becomes NaN or infinite hears of it when it counts the epoch; the others do not notice.

    Raises:
        TrainingError: batches differ in their number or size.
    """
    start = time.perf_counter()
    stack.hold(fits)
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
    first, any_fit = next(iter(batches.values())), next(iter(fits.values()))
    frozen = ("backbone",) if any_fit.epoch < any_fit.run.training.warmup_epochs else ()
    trained = [name for name in stack.groups if name not in frozen]
    by_step = list(zip(*(batches.get(slot, first) for slot in range(stack.size)), strict=True))
    inputs = StackedInputs(fits, stack.size)
    inputs.expect(by_step)
    rates, numbers = epoch_rates(stack, fits, len(by_step)), stack.numbers(fits)
    total = torch.zeros(stack.size, device=stack.device, dtype=torch.float64)
    for index, each in enumerate(by_step):
        given = inputs.step(each, index, dtype=stack.dtype)
        total += stack.step(given, {name: rates[name][index] for name in trained}, numbers)
    stack.count(list(fits), trained, len(by_step))
    return [value / len(by_step) for value in total.tolist()]


def epoch_rates(stack: Stack, fits: Mapping[int, FusedFit], count: int) -> dict[str, Tensor]:
    """What the steps of the epoch to come need, by group [count, K, M]: one transfer to the device."""
    steps = []
    for index in range(count):
        for fit in fits.values():
            fit.set_rates(index, count)
        steps.append(stack.rates(fits, done=index))
    return {
        name: sent(torch.stack([step[name] for step in steps]).to(stack.dtype), stack.device) for name in stack.groups
    }
