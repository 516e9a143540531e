"""torch's optimisers over stacked weights: one matrix per parameter group, one row per run with rates of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trainables.errors import ConfigError

Group = Mapping[str, Any]
"""A parameter group of a torch optimiser."""

_STATES: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.Adam: ("exp_avg", "exp_avg_sq"),
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
    torch.optim.RMSprop: ("square_avg", "momentum_buffer"),
}


class StackedOptimizer:
    """Updates weights [M, P] as the M torch optimisers of the runs would, up to rounding.

    Attributes:
        state: by name as in torch's state, [M, P] each.
        steps: that every row has made.
    """

    def __init__(self, weights: Tensor, kind: type[torch.optim.Optimizer]) -> None:
        """
        Raises:
            ConfigError: an optimiser that has no stacked form.
        """
        if kind not in _STATES:
            raise ConfigError(f"{kind.__name__} has no stacked form; there is one of {', '.join(_names())}")
        self.weights, self.kind = weights, kind
        self.state = {name: torch.zeros_like(weights) for name in _STATES[kind]}
        self.steps = [0] * len(weights)

    def rates(self, groups: Sequence[Group | None], *, done: int = 0) -> Tensor:
        """What a step needs of each row's parameter group, [K, M] on the CPU in double precision.

        Args:
            groups: of every row; None keeps the row as it is.
            done: steps since those that are counted.
        """
        columns = [self._rates(group, step + done + 1) for group, step in zip(groups, self.steps, strict=True)]
        return torch.tensor(columns, dtype=torch.float64).T

    def _rates(self, group: Group | None, step: int) -> list[float]:
        if self.kind is torch.optim.SGD:
            group = group or {"lr": 0.0, "weight_decay": 0.0, "momentum": 0.0}
            return [group["lr"], group["weight_decay"], group["momentum"]]
        if self.kind is torch.optim.RMSprop:
            group = group or {"lr": 0.0, "weight_decay": 0.0, "momentum": 0.0, "alpha": 1.0, "eps": 1.0}
            return [group["lr"], group["weight_decay"], group["momentum"], group["alpha"], group["eps"]]
        group = group or {"lr": 0.0, "weight_decay": 0.0, "betas": (0.0, 0.0), "eps": 1.0}
        first, second = group["betas"]
        size, spread = group["lr"] / (1 - first**step), (1 - second**step) ** 0.5
        decoupled = self.kind is torch.optim.AdamW
        coupled_decay = 0.0 if decoupled else group["weight_decay"]
        shrinkage = 1 - group["lr"] * group["weight_decay"] if decoupled else 1.0
        return [size, spread, coupled_decay, shrinkage, first, 1 - first, second, 1 - second, group["eps"]]

    @torch.no_grad()
    def step(self, gradient: Tensor, rates: Tensor, *, nesterov: bool = False) -> None:
        """One step of every row.

        Args:
            gradient: [M, P].
            rates: of `rates`, on the weights' device, in their type.
        """
        columns = [column[:, None] for column in rates]
        if self.kind is torch.optim.SGD:
            self._sgd(gradient, *columns, nesterov=nesterov)
        elif self.kind is torch.optim.RMSprop:
            self._rmsprop(gradient, *columns)
        else:
            self._adam(gradient, *columns)

    def _sgd(self, gradient: Tensor, lr: Tensor, decay: Tensor, momentum: Tensor, *, nesterov: bool) -> None:
        gradient = torch.addcmul(gradient, self.weights, decay)
        moving = self.state["momentum_buffer"].mul_(momentum).add_(gradient)
        self.weights.addcmul_(torch.addcmul(gradient, moving, momentum) if nesterov else moving, lr, value=-1)

    def _rmsprop(
        self, gradient: Tensor, lr: Tensor, decay: Tensor, momentum: Tensor, alpha: Tensor, eps: Tensor
    ) -> None:
        gradient = torch.addcmul(gradient, self.weights, decay)
        mean_square = self.state["square_avg"].mul_(alpha).addcmul_(gradient * gradient, 1 - alpha)
        direction = gradient / (mean_square.sqrt() + eps)
        moving = self.state["momentum_buffer"].mul_(momentum).add_(direction)
        self.weights.addcmul_(moving, lr, value=-1)

    def _adam(
        self,
        gradient: Tensor,
        size: Tensor,
        spread: Tensor,
        decay: Tensor,
        shrinkage: Tensor,
        first: Tensor,
        not_first: Tensor,
        second: Tensor,
        not_second: Tensor,
        eps: Tensor,
    ) -> None:
        if self.kind is torch.optim.AdamW:
            self.weights.mul_(shrinkage)
        else:
            gradient = torch.addcmul(gradient, self.weights, decay)
        mean = self.state["exp_avg"].mul_(first).addcmul_(gradient, not_first)
        mean_square = self.state["exp_avg_sq"].mul_(second).addcmul_(gradient * gradient, not_second)
        self.weights.addcdiv_(mean * size, mean_square.sqrt().div_(spread).add_(eps), value=-1)

    def torch_state(self, row: int, columns: slice, parameter: Tensor, group: Group) -> dict[str, Any]:
        """What torch's optimiser of a row would have for one of its parameters."""
        state: dict[str, Any] = {
            name: value[row, columns].view(parameter.shape).clone()
            for name, value in self.state.items()
            if name != "momentum_buffer" or group["momentum"]
        }
        if self.kind is not torch.optim.SGD:
            on_device = group.get("fused") or group.get("capturable")
            state["step"] = torch.tensor(float(self.steps[row]), device=parameter.device if on_device else "cpu")
        return state


def clip(gradients: Sequence[Tensor], *, norm: Tensor | None, value: Tensor | None) -> None:
    """Clips the gradients [M, P] of all groups in place, every row for itself, as torch's functions do.

    Args:
        norm: [M], largest norm over all groups; None clips none.
        value: [M], largest absolute value; None clips none.
    """
    if norm is not None:
        squares = torch.stack([gradient.square().sum(dim=1) for gradient in gradients])
        factor = (norm / (squares.sum(dim=0).sqrt() + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(factor[:, None])
    if value is not None:
        for gradient in gradients:
            gradient.copy_(torch.minimum(torch.maximum(gradient, -value[:, None]), value[:, None]))


def _names() -> list[str]:
    return sorted(kind.__name__ for kind in _STATES)
