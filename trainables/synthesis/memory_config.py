"""Configuration of the syntheses that remember past steps. Free of torch: planning imports it."""

import math
from typing import Any, ClassVar, Literal

from pydantic import Field

from trainables.losses.config import LossConfig
from trainables.losses.registry import LOSSES
from trainables.parts import at_defaults, hidden
from trainables.synthesis.config import NoSynthesis, SynthesisConfig

_FLOAT, _LABEL = 4, 8
"""Bytes of one stored number and of one stored label."""


class MemVir(SynthesisConfig):
    """MemVir (ICCV 2021): embeddings and class weights of past steps are additional samples and virtual classes."""

    name: Literal["memvir"] = "memvir"
    steps: int = Field(45, ge=1)
    """Past steps that are used together, N: up to (N + 1) C classes. Published for Cars: 45 and a gap of 10 with
    norm_softmax, 20 and 25 with proxy_nca."""
    gap: int = Field(10, ge=0)
    """Steps that are passed over between two that are used, M: those of age M + 1, 2 (M + 1), ... are used."""
    warmup_epochs: int = Field(0, ge=0)
    """First epochs in which nothing is stored or used; 40 of 2000 in the published runs."""
    curriculum: Literal["gradual", "jump"] = "gradual"
    """gradual: one more past step every M + 1 steps, as published; jump: the base loss alone until all N are there."""
    reduction: Literal["mean_all", "mean_current"] = "mean_all"
    """mean_all: the base loss of the enlarged step, as published, in which an image of the step weighs up to N + 1
    times less than without a memory; mean_current: the same times rows / images, its sum over rows divided by the
    images of the step. A loss that is no mean over rows (proxy_anchor), or has a regularizer, is multiplied as a whole.
    """
    memory: Literal["virtual_classes", "weights", "embeddings"] = "virtual_classes"
    """virtual_classes: past weights as classes and past embeddings as their samples, as published; weights: past
    weights alone, as negatives; embeddings: past embeddings alone, as further samples of their own classes."""
    memory_limit: int = hidden(4 * 1024**3, ge=1)
    """Bytes that the full queue and one matrix of logits may take together."""
    needs_proxies: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.synthesis.memvir:MemVir"

    @property
    def capacity(self) -> int:
        """Past steps in a full queue, N (M + 1): those in between are used later."""
        return self.steps * (self.gap + 1)

    @property
    def grace_epochs(self) -> int:
        """Warm-up and one more epoch. The queue needs N (M + 1) steps to fill, and how many steps an epoch has is not
        known here; see `grace_epochs_at`."""
        return self.warmup_epochs + 1

    def grace_epochs_at(self, steps_per_epoch: int) -> int:
        """Epochs until the queue is full: warm-up and N (M + 1) steps, rounded up."""
        return self.warmup_epochs + math.ceil(self.capacity / steps_per_epoch)

    def simplified(self) -> SynthesisConfig:
        """Without what cannot matter: a curriculum of one past step, a reduction over no additional rows."""
        idle = [*(["curriculum"] if self.steps == 1 else []), *(["reduction"] if self.memory == "weights" else [])]
        return at_defaults(self, *idle)

    def rehearsed(self) -> SynthesisConfig:
        return self.model_copy(update={"warmup_epochs": 0, "steps": 1, "gap": 0})

    def refusal(self, run: Any) -> str | None:
        """A loss without proxies; a warm-up that leaves no epoch; more rows than the memory may hold."""
        if not run.loss.has_proxies:
            return (
                f"synthesis 'memvir' turns past proxies into classes, and loss '{run.loss.name}' has none; take a loss "
                "with proxies (norm_softmax, proxy_anchor, ...), or synthesis 'xbm', a memory of past embeddings for "
                "pair losses"
            )
        if self.warmup_epochs >= run.training.epochs:
            return (
                f"synthesis 'memvir' does nothing before epoch {self.warmup_epochs + 1} (warmup_epochs "
                f"{self.warmup_epochs}), and training.epochs is {run.training.epochs}; take a shorter warm-up or train "
                "longer"
            )
        return self.too_large(proxies=0, embedding_dim=run.embedding_dim, batch_size=run.training.batch_size)

    def too_large(self, *, proxies: int, embedding_dim: int, batch_size: int) -> str | None:
        """Why the full queue does not fit into `memory_limit`; None where it does.

        Args:
            proxies: C * K rows of class weights; 0 where not known.
            embedding_dim: D.
            batch_size: B; 0 where not known.
        """
        proxies_kept = 0 if self.memory == "embeddings" else proxies
        rows_kept = 0 if self.memory == "weights" else batch_size
        step = (proxies_kept + rows_kept) * embedding_dim * _FLOAT + rows_kept * _LABEL
        logits = (batch_size + self.steps * rows_kept) * (proxies + self.steps * proxies_kept) * _FLOAT
        if self.capacity * step + logits <= self.memory_limit:
            return None
        kept = [f"{proxies_kept} proxies"] * (proxies_kept > 0) + [f"{rows_kept} embeddings"] * (rows_kept > 0)
        return (
            f"synthesis 'memvir' with steps {self.steps} and gap {self.gap} keeps {self.capacity} past steps of "
            f"{' and '.join(kept)} of {embedding_dim} dimensions: {self.capacity * step} bytes, and the logits of a "
            f"step take {logits} bytes; synthesis.memory_limit is {self.memory_limit}. Take fewer steps, a smaller gap "
            "or batch, or raise the limit where the device has the memory"
        )


class XBM(SynthesisConfig):
    """Cross-batch memory (CVPR 2020): the batch is also compared with the embeddings of past steps, by a pair loss."""

    name: Literal["xbm"] = "xbm"
    memory_size: int = Field(1024, ge=1)
    """Rows that are remembered, the latest ones; 8192 is the default of the released code."""
    warmup_epochs: int = Field(1, ge=0)
    """First epochs of the pair loss alone, while embeddings move fast; nothing is remembered before they are over."""
    weight: float = Field(1.0, ge=0)
    """Weight of the loss against the memory beside the loss within the batch."""
    enqueue: Literal["after", "before"] = "after"
    """When a batch enters the memory: after it was compared, so that every pair counts once, or before, as in the paper
    and its released code, so that the pairs within the batch, and every row with itself, count again."""
    implementation: ClassVar[str] = "trainables.synthesis.xbm:XBM"

    @property
    def grace_epochs(self) -> int:
        """Warm-up and the epoch in which the memory fills, if it is no larger than the training set."""
        return self.warmup_epochs + 1

    def simplified(self) -> SynthesisConfig:
        return NoSynthesis() if self.weight == 0 else self

    def rehearsed(self) -> SynthesisConfig:
        return self.model_copy(update={"warmup_epochs": 0})

    def refusal(self, run: Any) -> str | None:
        """A loss that compares no pairs; a warm-up that leaves no epoch."""
        if not run.loss.is_pairwise:
            return (
                f"synthesis 'xbm' compares a batch with remembered embeddings by a pair loss, and loss "
                f"'{run.loss.name}' is none; possible losses: {', '.join(_pair_losses())}. A memory for losses with "
                "proxies is synthesis 'memvir'"
            )
        if self.warmup_epochs >= run.training.epochs:
            return (
                f"synthesis 'xbm' does nothing before epoch {self.warmup_epochs + 1} (warmup_epochs "
                f"{self.warmup_epochs}), and training.epochs is {run.training.epochs}; take a shorter warm-up or train "
                "longer"
            )
        return None


def _pair_losses() -> list[str]:
    return sorted(name for name, loss in LOSSES.items() if issubclass(loss, LossConfig) and loss.is_pairwise)
