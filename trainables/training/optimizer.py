"""The optimiser with its parameter groups: backbone, head and proxies, each with a learning rate of its own."""

from collections.abc import Iterable

import torch
from torch import nn

from trainables.parts import Part, load_implementation


def build_optimizer(
    config: Part, *, backbone: Iterable[nn.Parameter], head: Iterable[nn.Parameter], proxies: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """A torch optimiser whose groups carry their `name` and undecayed rate `base_lr`; empty groups are left out."""
    settings = config.model_dump(exclude={"name", "lr", "proxy_lr_multiplier", "head_lr_multiplier"})
    lr = float(getattr(config, "lr"))  # noqa: B009 - every optimiser has one, their common base does not say so
    multipliers = {
        "backbone": 1.0,
        "head": float(getattr(config, "head_lr_multiplier", 1.0)),
        "proxies": float(getattr(config, "proxy_lr_multiplier", 1.0)),
    }
    groups = []
    for name, parameters in (("backbone", backbone), ("head", head), ("proxies", proxies)):
        listed = [parameter for parameter in parameters if parameter.requires_grad]
        if listed:
            rate = lr * multipliers[name]
            groups.append({"params": listed, "name": name, "lr": rate, "base_lr": rate})
    optimizer: torch.optim.Optimizer = load_implementation(config)(groups, lr=lr, **settings)
    return optimizer


def scale_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Sets every group to `factor` times its undecayed rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The learning rate of each group now, by name."""
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups}
