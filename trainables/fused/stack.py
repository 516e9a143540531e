"""The weights of several fits of equal shapes as one: M slots, trained by one forward and backward pass per step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from trainables.devices import sent
from trainables.errors import TrainingError
from trainables.fused.mixing import Stacked
from trainables.fused.network import Key, Owner, embeddings_of, loss_of
from trainables.fused.optimizer import StackedOptimizer, clip
from trainables.fused.rules import own_numbers
from trainables.geometry import stack_of_runs
from trainables.training.fit import Fit


@dataclass(frozen=True)
class _Place:
    """Where a parameter stands in the rows of its group's matrix."""

    key: Key
    shape: torch.Size
    start: int
    stop: int


@dataclass(frozen=True)
class StepInputs:
    """What all slots see in one step; slots without a fit see anything of the right shape.

    Attributes:
        inputs: [M, B, ...].
        labels: [M, B].
        mixtures: of Proxy Synthesis; None without one.
    """

    inputs: Tensor
    labels: Tensor
    mixtures: Stacked | None


class Stack:
    """Fits whose weights live side by side.

    The parameters and buffers of a fit in a slot are views of its row: what trains the stack trains the fit, and what
    loads weights into the fit changes the stack. A row's numbers do not depend on the other rows, only on their number:
    a slot without a fit holds a copy of some fit, and its row changes nothing.
    """

    def __init__(self, fit: Fit, size: int) -> None:
        """
        Args:
            fit: any of those to come, for the shapes.
            size: number of slots M.

        Raises:
            TrainingError: a module with weights stands under two names, which `functional_call` does not put back.
        """
        _refuse_aliases(fit)
        self.size, self._template = size, fit
        self.slots: list[Fit | None] = [None] * size
        self._places: dict[str, list[_Place]] = {}
        self._optimizers: dict[str, StackedOptimizer] = {}
        for group in fit.optimizer.param_groups:
            self._add_group(group)
        trained = {place.key for places in self._places.values() for place in places}
        self._rest = {key: _repeated(value, size) for key, value in _tensors(fit).items() if key not in trained}
        self._on_cpu: tuple[dict[str, Tensor], dict[Key, Tensor]] | None = None

    def _add_group(self, group: Mapping[str, Any]) -> None:
        names = {id(value): key for key, value in _tensors(self._template).items()}
        places, start = [], 0
        for parameter in group["params"]:
            stop = start + parameter.numel()
            places.append(_Place(names[id(parameter)], parameter.shape, start, stop))
            start = stop
        weights = group["params"][0].new_zeros(self.size, start).requires_grad_()
        self._places[group["name"]] = places
        self._optimizers[group["name"]] = StackedOptimizer(weights, type(self._template.optimizer))

    def hold(self, fits: Mapping[int, Fit]) -> None:
        """Exactly these fits are in their slots from now on."""
        self.forget()
        for slot, held in enumerate(self.slots):
            if held is not None and fits.get(slot) is not held:
                self._release(slot)
        for slot, fit in fits.items():
            if self.slots[slot] is not fit:
                self._bind(slot, fit)
        if None in self.slots:
            self._fill(next(iter(fits)))

    def _bind(self, slot: int, fit: Fit) -> None:
        tensors = _tensors(fit)
        for key, view in self._row(slot, self._weights, self._rest).items():
            own = tensors[key]
            view.copy_(own.detach())
            own.data = view
        for group in fit.optimizer.param_groups:
            self._read_state(slot, fit, group)
        self.slots[slot] = fit

    def _release(self, slot: int) -> None:
        fit = self.slots[slot]
        assert fit is not None
        self.write_back(fit)
        for own in _tensors(fit).values():
            own.data = own.detach().clone()
        self.slots[slot] = None

    def _fill(self, source: int) -> None:
        for slot, held in enumerate(self.slots):
            if held is None:
                for optimizer in self._optimizers.values():
                    optimizer.weights.data[slot] = optimizer.weights.data[source]
                for rest in self._rest.values():
                    rest[slot] = rest[source]

    @property
    def _weights(self) -> dict[str, Tensor]:
        """What trains, [M, P] by group."""
        return {name: optimizer.weights.detach() for name, optimizer in self._optimizers.items()}

    def _row(self, slot: int, weights: Mapping[str, Tensor], rest: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
        """Views of everything that belongs to a slot."""
        found = {key: value[slot] for key, value in rest.items()}
        for name, places in self._places.items():
            row = weights[name][slot]
            found |= {place.key: row[place.start : place.stop].view(place.shape) for place in places}
        return found

    def on_cpu(self, fit: Fit) -> dict[Key, Tensor]:
        """Parameters and buffers of a fit, to be read at once: from one copy for all fits."""
        if self._on_cpu is None:
            rest = {key: value.cpu() for key, value in self._rest.items()}
            self._on_cpu = {name: value.cpu() for name, value in self._weights.items()}, rest
        return self._row(self.slots.index(fit), *self._on_cpu)

    def forget(self) -> None:
        """Weights are no longer those of the copy."""
        self._on_cpu = None

    def _read_state(self, slot: int, fit: Fit, group: Mapping[str, Any]) -> None:
        optimizer = self._optimizers[group["name"]]
        optimizer.steps[slot] = 0
        for place, parameter in zip(self._places[group["name"]], group["params"], strict=True):
            state = fit.optimizer.state.get(parameter, {})
            optimizer.steps[slot] = int(state.get("step", 0))
            for name, stacked in optimizer.state.items():
                value = state.get(name)
                stacked[slot, place.start : place.stop] = 0 if value is None else value.flatten()

    def write_back(self, fit: Fit) -> None:
        """Makes the fit's own optimiser what it would be had it trained the fit."""
        slot = self.slots.index(fit)
        for group in fit.optimizer.param_groups:
            optimizer = self._optimizers[group["name"]]
            if not optimizer.steps[slot]:
                continue
            for place, parameter in zip(self._places[group["name"]], group["params"], strict=True):
                row = slice(place.start, place.stop)
                fit.optimizer.state[parameter] = optimizer.torch_state(slot, row, parameter, group)

    def rates(self, active: Mapping[int, Fit], *, done: int) -> dict[str, Tensor]:
        """By group what a step needs, [K, M]; `done` steps after those that are counted. The fits' rates are set."""
        groups = {slot: {group["name"]: group for group in fit.optimizer.param_groups} for slot, fit in active.items()}
        return {
            name: optimizer.rates([groups.get(slot, {}).get(name) for slot in range(self.size)], done=done)
            for name, optimizer in self._optimizers.items()
        }

    def step(self, given: StepInputs, rates: Mapping[str, Tensor], numbers: Mapping[str, Tensor]) -> Tensor:
        """One optimisation step of all slots; their losses [M].

        Args:
            rates: by trained group, [K, M], on the device; groups that are left out are frozen.
            numbers: see `own`.
        """
        leaves = {name: self._optimizers[name].weights for name in rates}
        losses = self.losses(given, numbers, trained=frozenset(rates))
        gradients = list(torch.autograd.grad(losses.sum(), list(leaves.values())))
        clip(gradients, norm=numbers.get("clip_norm"), value=numbers.get("clip_value"))
        for (name, row_rates), gradient in zip(rates.items(), gradients, strict=True):
            nesterov = bool(getattr(self._template.run.optimizer, "nesterov", False))
            self._optimizers[name].step(gradient, row_rates, nesterov=nesterov)
        return losses.detach()

    def losses(self, given: StepInputs, numbers: Mapping[str, Tensor], *, trained: frozenset[str]) -> Tensor:
        """Of all slots, [M]."""
        self._template.model.train()
        arguments = {key: numbers[key] for key in own_numbers(self._template.run.loss)}
        with stack_of_runs():
            found: Tensor = vmap(partial(loss_of, self._template))(
                self._stacked(trained), given.inputs, given.labels, arguments, given.mixtures or {}
            )
        return found

    @torch.no_grad()
    def embed(self, inputs: Tensor) -> Tensor:
        """Raw embeddings [M, B, D] of inputs [M, B, ...], in evaluation mode."""
        self._template.model.eval()
        with stack_of_runs():
            found: Tensor = vmap(partial(embeddings_of, self._template))(
                self._stacked(frozenset()), inputs.to(self.dtype)
            )
        return found

    def _stacked(self, trained: frozenset[str]) -> dict[Key, Tensor]:
        """All parameters and buffers, [M, ...]; gradients reach those of `trained` groups."""
        tensors = dict(self._rest)
        for name, places in self._places.items():
            weights = self._optimizers[name].weights
            sizes = [place.stop - place.start for place in places]
            pieces = torch.split(weights if name in trained else weights.detach(), sizes, dim=1)
            tensors |= {
                place.key: torch.unflatten(piece, 1, place.shape) if place.shape else piece.squeeze(1)
                for place, piece in zip(places, pieces, strict=True)
            }
        return tensors

    def count(self, slots: Sequence[int], groups: Sequence[str], steps: int) -> None:
        """The rows of slots have made further steps."""
        self.forget()
        for name in groups:
            for slot in slots:
                self._optimizers[name].steps[slot] += steps

    def numbers(self, active: Mapping[int, Fit]) -> dict[str, Tensor]:
        """Where runs may differ beside their rates, [M] each: arguments of the loss, and limits of gradients."""
        runs = [active.get(slot, self._template).run for slot in range(self.size)]
        columns = {key: [getattr(run.loss, key) for run in runs] for key in own_numbers(self._template.run.loss)}
        for key in ("clip_norm", "clip_value"):
            if getattr(self._template.run.training, key) is not None:
                columns[key] = [getattr(run.training, key) for run in runs]
        return {key: sent(torch.tensor(values, dtype=self.dtype), self.device) for key, values in columns.items()}

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the parameter groups."""
        return tuple(self._optimizers)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(iter(self._optimizers.values())).weights.dtype

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return next(iter(self._optimizers.values())).weights.device


def _refuse_aliases(fit: Fit) -> None:
    for part in (fit.model, fit.loss):
        seen: dict[nn.Module, str] = {}
        for name, module in part.named_modules(remove_duplicate=False):
            first = seen.setdefault(module, name)
            if first != name and any(True for _ in (*module.parameters(), *module.buffers())):
                raise TrainingError(f"'{name}' is the same module as '{first}': such runs cannot train together")


def _tensors(fit: Fit) -> dict[Key, Tensor]:
    """All parameters and buffers of a fit."""
    owners: tuple[tuple[Owner, nn.Module], ...] = (("model", fit.model), ("loss", fit.loss))
    return {
        (owner, name): value
        for owner, module in owners
        for name, value in (*module.named_parameters(), *module.named_buffers())
    }


def _repeated(value: Tensor, size: int) -> Tensor:
    return value.detach().expand(size, *value.shape).clone(memory_format=torch.contiguous_format)
