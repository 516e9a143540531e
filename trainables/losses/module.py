"""A base loss with the proxies that it learns."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from trainables.classes import Classes
from trainables.losses.config import LossConfig, ProxyInit
from trainables.parts import load_implementation
from trainables.randomness import generator


class ProxyLoss(nn.Module):
    """Holds the proxies and calls the loss that a configuration names.

    Attributes:
        proxies: [C * K, D], raw; None for a loss that has no proxies.
    """

    proxies: nn.Parameter | None

    def __init__(self, config: LossConfig, *, num_classes: int, embedding_dim: int, seed: int) -> None:
        """
        Args:
            config: a registered loss.
            num_classes: C, classes of the training split.
            embedding_dim: D.
            seed: the run's seed; losses with the same initialization start from the same proxies.
        """
        super().__init__()
        self.config = config
        self._function: Callable[..., Tensor] = partial(load_implementation(config), **config.arguments())
        self.register_parameter("proxies", _initial_parameter(config, num_classes, embedding_dim, seed))

    @property
    def classes(self) -> Classes | None:
        """The class representation that a synthesis may enlarge; None for a loss without proxies."""
        if self.proxies is None:
            return None
        return Classes(self.proxies, centers_per_class=self.config.centers_per_class)

    def forward(self, embeddings: Tensor, labels: Tensor, classes: Classes | None = None) -> Tensor:
        """The loss, a scalar, on the given (enlarged) classes or, without any, on the learned ones."""
        classes = self.classes if classes is None else classes
        if classes is None:
            return self._function(embeddings, labels)
        return self._function(embeddings, labels, classes.weights)


def initial_proxies(rows: int, embedding_dim: int, init: ProxyInit, *, seed: int) -> Tensor:
    """Initial proxies [rows, D], drawn on the CPU from (seed, "proxies").

    `kaiming_uniform` is uniform in +-1/sqrt(D) (Proxy Synthesis code), `kaiming_normal` has the standard deviation
    sqrt(2 / rows) (Proxy Anchor code), `normal` has 1.
    """
    proxies, source = torch.empty(rows, embedding_dim), generator(seed, "proxies")
    if init == "kaiming_uniform":
        return nn.init.kaiming_uniform_(proxies, a=math.sqrt(5), generator=source)
    if init == "kaiming_normal":
        return nn.init.kaiming_normal_(proxies, mode="fan_out", generator=source)
    return nn.init.normal_(proxies, generator=source)


def _initial_parameter(config: LossConfig, num_classes: int, embedding_dim: int, seed: int) -> nn.Parameter | None:
    if not config.has_proxies:
        return None
    init: ProxyInit = config.model_dump()["proxy_init"]
    rows = num_classes * config.centers_per_class
    return nn.Parameter(initial_proxies(rows, embedding_dim, init, seed=seed))
