"""Cross-batch memory: the embeddings of past steps as further partners in pairs."""

from typing import Any

import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.geometry import widened
from trainables.losses.module import BaseLoss
from trainables.step import Step
from trainables.synthesis import memory_config as configs
from trainables.synthesis.base import Space, Synthesis


class XBM(Synthesis):
    """Adds the pair loss between a batch and the latest rows of past batches to the one within the batch.

    A step after the warm-up costs `L(batch, batch) + weight * L(batch, memory)`, with the batch's rows as anchors and
    the memory's rows, which get no gradient, as references. With `enqueue: after` the memory is that of the steps
    before: the first step has none and costs `L(batch, batch)`, and every pair counts once. With `before` the batch
    enters the memory first, as in the paper's algorithm; a row then also meets the copy of itself, at a distance of 0.

    Rows are kept as the network gives them; the loss normalizes both sides alike. The memory starts empty after the
    warm-up, since what it would hold of those epochs is out of date (the paper's "slow drift" comes later), and holds
    the last `memory_size` rows, oldest first; a larger batch leaves its last rows.

    Source: Wang, Zhang, Huang and Scott, "Cross-Batch Memory for Embedding Learning", CVPR 2020, arXiv 1912.06798,
    algorithm 1; the sum with the loss within the batch is that of its released code.
    """

    config: configs.XBM

    def __init__(self, config: configs.XBM, space: Space) -> None:
        super().__init__(config, space)
        self.rows = torch.zeros(0, space.embedding_dim, device=space.device)
        self.labels = torch.zeros(0, dtype=torch.int64, device=space.device)

    def loss(self, base: BaseLoss, batch: Batch, step: Step) -> Tensor:
        """The loss of a step, a scalar.

        Raises:
            ValueError: the base loss compares no pairs.
        """
        total: Tensor = base(batch)
        if step.epoch < self.config.warmup_epochs:
            return total
        if self.config.enqueue == "before":
            self._enqueue(batch)
        total = total + self.config.weight * base.against(batch, self.rows, self.labels)
        if self.config.enqueue == "after":
            self._enqueue(batch)
        return total

    def _enqueue(self, batch: Batch) -> None:
        # New tensors, since the step's backward pass may still need the old ones; and copies, no views into longer
        # ones: they lie in memory as they do after a checkpoint, where matrix products then round alike.
        rows = widened(batch.embeddings[: batch.real_rows].detach())
        size = self.config.memory_size
        self.rows = torch.cat([self.rows.to(rows.dtype), rows])[-size:].clone()
        self.labels = torch.cat([self.labels, batch.labels[: batch.real_rows].long()])[-size:].clone()

    def epoch_metrics(self) -> dict[str, float]:
        """`synthesis_memory_rows`: how far the memory has filled."""
        return {"synthesis_memory_rows": float(len(self.rows))}

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows.cpu().clone(), "labels": self.labels.cpu().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state.keys() != {"rows", "labels"}:
            raise ValueError(f"XBM's state has rows and labels; the checkpoint holds {sorted(state)}")
        self.rows = state["rows"].to(self.space.device, copy=True)
        self.labels = state["labels"].to(self.space.device, copy=True)
