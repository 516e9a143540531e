"""A base loss with the proxies that it learns."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.losses.config import LossConfig, ProxyInit
from trainables.parts import load_implementation
from trainables.randomness import generator, isolated_rng

_FANS: dict[ProxyInit, Literal["fan_in", "fan_out"]] = {
    "kaiming_uniform": "fan_in",
    "kaiming_uniform_fan_out": "fan_out",
    "kaiming_normal": "fan_out",
    "kaiming_normal_fan_in": "fan_in",
}
"""Of proxies [rows, D]: D goes in, rows go out."""


class BaseLoss(nn.Module):
    """Holds the proxies and calls the loss that a configuration names.

    Attributes:
        proxies: [C * K, D], raw; None for a loss that has no proxies.
        bias: [C]; None for a loss without biases.
    """

    proxies: nn.Parameter | None
    bias: nn.Parameter | None

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
        self.function: Callable[..., Tensor] = _function(config, seed)
        self.register_parameter("proxies", _initial_parameter(config, num_classes, embedding_dim, seed))
        self.register_parameter("bias", nn.Parameter(torch.zeros(num_classes)) if config.has_bias else None)

    @property
    def classes(self) -> Classes | None:
        """The class representation that a synthesis may enlarge; None for a loss without proxies."""
        if self.proxies is None:
            return None
        return Classes(
            self.proxies,
            self.bias,
            centers_per_class=self.config.centers,
            keeps_length=self.config.keeps_length,
        )

    def forward(self, batch: Batch) -> Tensor:
        """The loss, a scalar."""
        if batch.classes is None:
            return self.function(batch.embeddings, batch.labels)
        return self.function(batch.embeddings, batch.labels, batch.classes.weights, **self.extras(batch))

    def against(self, batch: Batch, references: Tensor, reference_labels: Tensor) -> Tensor:
        """A pair loss between every row of the batch and all references [R, D] with labels [R].

        Raises:
            ValueError: the loss compares no pairs.
        """
        if not self.config.is_pairwise:
            raise ValueError(f"loss '{self.config.name}' compares no pairs")
        return self.function(batch.embeddings, batch.labels, references, reference_labels)

    def extras(self, batch: Batch) -> dict[str, Any]:
        """What the function takes besides embeddings, labels, proxies and its arguments."""
        assert batch.classes is not None
        extras: dict[str, Any] = {}
        if self.config.has_bias:
            extras["bias"] = batch.classes.bias
        if batch.excluded is not None:
            extras["excluded"] = batch.excluded
        if self.config.stateful:
            extras["real"] = batch.real_rows
        return extras


def initial_proxies(rows: int, embedding_dim: int, init: ProxyInit, *, seed: int) -> Tensor:
    """Initial proxies [rows, D], drawn on the CPU from (seed, "proxies").

    `kaiming_uniform` is uniform in +-1/sqrt(D) (Proxy Synthesis code), `kaiming_uniform_fan_out` in +-1/sqrt(rows)
    (MemVir code for norm_softmax). Normal are `kaiming_normal` with the standard deviation sqrt(2 / rows) (Proxy Anchor
    code), `kaiming_normal_fan_in` with sqrt(2 / D) (MemVir code for proxy_nca), `normal` with 1, and `small_normal`
    with 0.01 (CurricularFace code).
    """
    proxies, source = torch.empty(rows, embedding_dim), generator(seed, "proxies")
    if init in ("kaiming_uniform", "kaiming_uniform_fan_out"):
        return nn.init.kaiming_uniform_(proxies, a=math.sqrt(5), mode=_FANS[init], generator=source)
    if init in ("kaiming_normal", "kaiming_normal_fan_in"):
        return nn.init.kaiming_normal_(proxies, mode=_FANS[init], generator=source)
    return nn.init.normal_(proxies, std=0.01 if init == "small_normal" else 1.0, generator=source)


def _function(config: LossConfig, seed: int) -> Callable[..., Tensor]:
    """A pure function with its arguments, or a module that keeps a state of its own."""
    implementation: Any = load_implementation(config)
    if not isinstance(implementation, type):
        return partial(implementation, **config.arguments())
    with isolated_rng(seed, "loss"):
        module: nn.Module = implementation(**config.arguments())
    return module


def _initial_parameter(config: LossConfig, num_classes: int, embedding_dim: int, seed: int) -> nn.Parameter | None:
    if not config.has_proxies:
        return None
    init: ProxyInit = config.model_dump()["proxy_init"]
    return nn.Parameter(initial_proxies(num_classes * config.centers, embedding_dim, init, seed=seed))
