"""The novel classes of L2A: what they start from, and how they join the learned ones."""

import torch
from torch import nn

from trainables.classes import Classes
from trainables.geometry import unit
from trainables.randomness import generator
from trainables.synthesis.base import Space


class NovelClasses(nn.Module):
    """Proxies [M * K, D] and, for a loss that has them, biases [M] of the novel classes.

    They exist from the beginning, so that an optimiser can hold them, as random directions. `start` gives them the mean
    length and bias of the learned classes.
    """

    weights: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, count: int, space: Space) -> None:
        super().__init__()
        source = generator(space.seed, "l2a", "novel")
        rows = torch.randn(count * space.centers_per_class, space.embedding_dim, generator=source)
        self.weights = nn.Parameter(unit(rows))
        self.register_parameter("bias", nn.Parameter(torch.zeros(count)) if space.has_bias else None)

    @torch.no_grad()
    def start(self, classes: Classes) -> None:
        """Takes up the scale of the learned classes."""
        self.weights.mul_(torch.linalg.vector_norm(classes.weights, dim=1).mean())
        if self.bias is not None and classes.bias is not None:
            self.bias.fill_(0).add_(classes.bias.mean())

    def beside(self, classes: Classes) -> Classes:
        """The classes with the novel ones after them."""
        return classes.extended([self.weights], [self.bias])

    def constant_beside(self, classes: Classes) -> Classes:
        """The same, without a gradient into the novel ones."""
        return classes.extended([self.weights.detach()], [None if self.bias is None else self.bias.detach()])
