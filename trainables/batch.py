"""What the base loss sees of one step: one value that the run, its synthesis and its loss pass on."""

from dataclasses import dataclass, field

from torch import Tensor

from trainables.classes import Classes
from trainables.devices import sent


@dataclass(frozen=True)
class Batch:
    """Embeddings with their labels, and the classes that the loss learns.

    Attributes:
        embeddings: [B, D], raw; the first `real_rows` belong to images of this step.
        labels: [B], integers in 0..C-1. For a loss on label distances: float [B - 1], of rows 1.. to row 0.
        classes: C classes; None for a loss without proxies.
        excluded: bool [B, C], classes that do not exist for a row; cross entropies leave their logits out.
        real: number of rows that are images of this step; None where all are.
        host_labels: the labels on the CPU, where they are at hand; on a GPU reading `labels` would wait for the device.
    """

    embeddings: Tensor
    labels: Tensor
    classes: Classes | None
    excluded: Tensor | None = None
    real: int | None = None
    host_labels: Tensor | None = field(default=None, repr=False)

    @property
    def real_rows(self) -> int:
        return self.embeddings.shape[0] if self.real is None else self.real

    @classmethod
    def of(cls, embeddings: Tensor, labels: Tensor, classes: Classes | None) -> "Batch":
        """The batch of a step: its labels come from the CPU and are sent to the embeddings' device."""
        return cls(embeddings, sent(labels, embeddings.device), classes, host_labels=labels)

    def labels_at_hand(self) -> Tensor:
        """The labels on the CPU."""
        return self.labels.cpu() if self.host_labels is None else self.host_labels
