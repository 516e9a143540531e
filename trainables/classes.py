"""How classes are represented in the embedding space: one value that base losses and syntheses share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Classes:
    """Class weights (proxies).

    Attributes:
        weights: [C * K, D], raw, not normalised; row c * K + k is centre k of class c.
        bias: [C] or None. Classes with biases live in the raw space, all others are directions.
        centers_per_class: K.
        keeps_length: whether the length of an embedding counts, as it always does where classes have biases.
    """

    weights: Tensor
    bias: Tensor | None = None
    centers_per_class: int = 1
    keeps_length: bool = False

    @property
    def count(self) -> int:
        """C."""
        return self.weights.shape[0] // self.centers_per_class

    @property
    def raw_embeddings(self) -> bool:
        """Whether embeddings are compared with the classes as they are, and not as directions."""
        return self.keeps_length or self.bias is not None

    def extended(self, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Self:
        """These classes with others behind them.

        Args:
            weights: [M * K, D] each.
            biases: [M] each; what is None has no bias, and counts only where these classes have none.
        """
        bias = None
        if self.bias is not None:
            bias = torch.cat([self.bias, *(other for other in biases if other is not None)])
        return replace(self, weights=torch.cat([self.weights, *weights]), bias=bias)
