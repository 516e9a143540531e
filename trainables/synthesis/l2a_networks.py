"""The networks of L2A: a generator of embeddings of a class, and a critic of embeddings."""

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.geometry import unit

_SLOPE = 0.2


class Generator(nn.Module):
    """Noise and classes to unit vectors in the embedding space.

    Every class has a learned condition vector. A hidden layer is linear, its output normalised over the features of a
    row, scaled and shifted by linear functions of the condition, and cut by LeakyReLU. Nothing mixes rows, so that an
    embedding is a function of its own noise and class alone.
    """

    def __init__(
        self, *, classes: int, embedding_dim: int, noise_dim: int, condition_dim: int, width: int, depth: int
    ) -> None:
        """
        Args:
            classes: seen and novel ones.
            embedding_dim: D.
            width, depth: of the hidden layers.
        """
        super().__init__()
        self.conditions = nn.Embedding(classes, condition_dim)
        widths = [noise_dim, *[width] * (depth - 1)]
        self.layers = nn.ModuleList(_ConditionalLayer(inputs, width, condition_dim) for inputs in widths)
        self.output = nn.Linear(width, embedding_dim)

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        """Unit vectors [N, D] of noise [N, d_z] and classes [N]."""
        condition = self.conditions.weight.index_select(0, classes)
        hidden = noise
        for layer in self.layers:
            hidden = layer(hidden, condition)
        return unit(self.output(hidden))


class _ConditionalLayer(nn.Module):
    def __init__(self, inputs: int, width: int, condition_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.scale = nn.Linear(condition_dim, width)
        self.shift = nn.Linear(condition_dim, width)

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        hidden: Tensor = self.linear(inputs)
        normal = F.layer_norm(hidden, hidden.shape[-1:])
        return F.leaky_relu((1 + self.scale(condition)) * normal + self.shift(condition), _SLOPE)


class Critic(nn.Module):
    """Embeddings [N, D] to scores [N], whatever their class: realism can be asked of novel classes too.

    There is no normalisation: the gradient penalty is about the slope at single rows.
    """

    def __init__(self, *, embedding_dim: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [embedding_dim, *[width] * depth]
        hidden = [
            layer
            for inputs, outputs in pairwise(widths)
            for layer in (nn.Linear(inputs, outputs), nn.LeakyReLU(_SLOPE))
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, 1))

    def forward(self, embeddings: Tensor) -> Tensor:
        return cast(Tensor, self.layers(embeddings)).squeeze(1)
