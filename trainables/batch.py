"""What the base loss sees of one step: one value that the run, its synthesis and its loss pass on."""

from dataclasses import dataclass

from torch import Tensor

from trainables.classes import Classes


@dataclass(frozen=True)
class Batch:
    """Embeddings with their labels, and the classes that the loss learns.

    Attributes:
        embeddings: [B, D], raw; the first `real_rows` belong to images of this step.
        labels: [B], integers in 0..C-1. For a loss on label distances: float [B - 1], of rows 1.. to row 0.
        classes: C classes; None for a loss without proxies.
        excluded: bool [B, C], classes that do not exist for a row; cross entropies leave their logits out.
        real: number of rows that are images of this step; None where all are.
    """

    embeddings: Tensor
    labels: Tensor
    classes: Classes | None
    excluded: Tensor | None = None
    real: int | None = None

    @property
    def real_rows(self) -> int:
        return self.embeddings.shape[0] if self.real is None else self.real
