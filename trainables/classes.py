"""How classes are represented in the embedding space: one value that base losses and syntheses share."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Classes:
    """Class weights (proxies).

    Attributes:
        weights: [C * K, D], raw, not normalised; row c * K + k is centre k of class c.
        bias: [C] or None.
        centers_per_class: K.
    """

    weights: Tensor
    bias: Tensor | None = None
    centers_per_class: int = 1

    @property
    def count(self) -> int:
        """C."""
        return self.weights.shape[0] // self.centers_per_class
