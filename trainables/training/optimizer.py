"""The optimiser with its parameter groups: backbone, head and proxies, each with a learning rate of its own."""

from collections.abc import Iterable

import torch
from torch import nn

from trainables.parts import load_implementation
from trainables.training.config import OptimizerConfig


def build_optimizer(
    config: OptimizerConfig,
    *,
    backbone: Iterable[nn.Parameter],
    head: Iterable[nn.Parameter],
    proxies: Iterable[nn.Parameter],
) -> torch.optim.Optimizer:
    """A torch optimiser whose groups carry their `name` and undecayed rate `base_lr`; empty groups are left out."""
    multipliers = {"backbone": 1.0, "head": config.head_lr_multiplier, "proxies": config.proxy_lr_multiplier}
    groups = []
    for name, parameters in (("backbone", backbone), ("head", head), ("proxies", proxies)):
        listed = [parameter for parameter in parameters if parameter.requires_grad]
        if listed:
            rate = config.lr * multipliers[name]
            groups.append({"params": listed, "name": name, "lr": rate, "base_lr": rate})
    optimizer: torch.optim.Optimizer = load_implementation(config)(groups, lr=config.lr, **config.arguments())
    return optimizer


def scale_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Sets every group to `factor` times its undecayed rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The learning rate of each group now, by name."""
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups}
