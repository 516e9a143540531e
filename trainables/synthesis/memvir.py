"""MemVir as a part of a training run."""

from collections import deque
from typing import Any

import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.errors import ConfigError
from trainables.geometry import check_batch
from trainables.losses.module import BaseLoss
from trainables.step import Step
from trainables.synthesis import memory_config as configs
from trainables.synthesis.base import Space, Synthesis
from trainables.synthesis.snapshots import Snapshot, recalled, snapshot, with_snapshots

_KEPT_STEPS = 5
"""Past steps that a run keeps for pictures."""


class MemVir(Synthesis):
    """Past steps as virtual classes (Ko, Gu and Kim, ICCV 2021, arXiv 2103.16940).

    A step first reads the queue and then leaves itself in it, so that it never meets its own embeddings. Class weights
    are kept as the forward pass had them, before the step's update: copies, raw. Embeddings are kept at unit length, or
    as they are where the loss looks at their length (plain softmax, whose biases are kept too, and sphereface). The
    queue goes through the epochs, and through checkpoints, without a break: a continued run repeats an unbroken one.

    Every proxy loss sees an ordinary step with (n + 1) C classes. With several centers a block has C K rows, and a loss
    that follows the training (curricularface) looks at the images of the step alone. Losses that divide by the number
    of classes or rows (proxy_anchor, the regularizer of soft_triple) divide by the enlarged one.
    """

    config: configs.MemVir

    def __init__(self, config: configs.MemVir, space: Space) -> None:
        """Raises:
        ConfigError: the full queue would be larger than `memory_limit`.
        """
        super().__init__(config, space)
        self.queue: deque[Snapshot] = deque(maxlen=config.capacity)
        self._metrics: dict[str, float] = {}
        self._require_memory(batch_size=space.batch_size)

    def enlarge(self, batch: Batch, step: Step) -> Batch:
        """Adds the rows and classes of past steps, and remembers this one; to be called once for a step.

        Raises:
            ConfigError: with the rows of this batch the full queue would be larger than `memory_limit`.
            ValueError: the loss has no proxies, or shapes and labels do not fit.
        """
        classes = batch.classes
        if classes is None:
            raise ValueError("memvir remembers proxies, and this loss has none")
        check_batch(batch.embeddings, batch.labels, classes.weights, centers_per_class=classes.centers_per_class)
        if not self._metrics:
            self._require_memory(batch_size=len(batch.labels))
        enlarged = batch
        if step.epoch >= self.config.warmup_epochs:
            past = self._recalled()
            self.queue.append(snapshot(batch.embeddings, batch.labels, classes, memory=self.config.memory))
            enlarged = with_snapshots(batch, past)
        self._measure(enlarged)
        return enlarged

    def loss(self, base: BaseLoss, batch: Batch, step: Step) -> Tensor:
        """The base loss on the enlarged step, reduced as configured."""
        enlarged = self.enlarge(batch, step)
        value: Tensor = base(enlarged)
        if self.config.reduction == "mean_all":
            return value
        return value * (len(enlarged.labels) / len(batch.labels))

    def epoch_metrics(self) -> dict[str, float]:
        """Classes and rows of the latest step, its own among them."""
        return dict(self._metrics)

    def kept(self) -> dict[str, Any]:
        """Up to five of the past steps that the next step would use, evenly spread, with their ages in steps."""
        past = list(enumerate(self._recalled(), start=1))
        chosen = past[:: -(-len(past) // _KEPT_STEPS)] if past else []
        stride = self.config.gap + 1
        steps = [{**_moved(entry._asdict(), torch.device("cpu")), "age": k * stride} for k, entry in chosen]
        return {"past": steps} if steps else {}

    def state_dict(self) -> dict[str, Any]:
        """The queue, the oldest step first."""
        return {"queue": [entry._asdict() for entry in self.queue]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises:
        ValueError: the state belongs to another synthesis, or to a longer queue.
        """
        if state.keys() != {"queue"}:
            raise ValueError(f"MemVir keeps a queue; the checkpoint holds {sorted(state)}")
        entries = [Snapshot(**_moved(entry, self.space.device)) for entry in state["queue"]]
        if len(entries) > self.config.capacity:
            raise ValueError(f"the checkpoint's queue has {len(entries)} steps, and {self.config.capacity} fit")
        self.queue = deque(entries, maxlen=self.config.capacity)

    def _recalled(self) -> list[Snapshot]:
        config = self.config
        return recalled(self.queue, steps=config.steps, gap=config.gap, curriculum=config.curriculum)

    def _measure(self, enlarged: Batch) -> None:
        assert enlarged.classes is not None
        self._metrics = {
            "synthesis_classes": float(enlarged.classes.count),
            "synthesis_rows": float(len(enlarged.labels)),
        }

    def _require_memory(self, *, batch_size: int) -> None:
        space = self.space
        proxies = space.num_classes * space.centers_per_class
        too_large = self.config.too_large(proxies=proxies, embedding_dim=space.embedding_dim, batch_size=batch_size)
        if too_large:
            raise ConfigError(too_large)


def _moved(entry: dict[str, Tensor | None], device: torch.device) -> dict[str, Any]:
    return {key: None if value is None else value.to(device) for key, value in entry.items()}
