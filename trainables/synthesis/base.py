"""What every synthesis does: it takes part in a step between the images and the loss."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.losses.module import BaseLoss
from trainables.step import Step
from trainables.synthesis.config import SynthesisConfig


@dataclass(frozen=True)
class Space:
    """The embedding space that a synthesis works in.

    Attributes:
        num_classes: C, classes of the training split.
        embedding_dim: D.
        centers_per_class: K, proxies of each class.
        has_bias: whether classes have biases and live in the raw, not normalized space.
        batch_size: images of a full batch; 0 where not known.
        seed: the run's; initial weights of a synthesis depend on it.
        device: where the training runs.
    """

    num_classes: int
    embedding_dim: int
    centers_per_class: int = 1
    has_bias: bool = False
    batch_size: int = 0
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class Synthesis:
    """The base loss alone; subclasses override the hooks that they need.

    A step calls `embed`, then `loss`, which calls `enlarge`. Every random draw of a step is derived from `step`, so
    the hooks of one step can draw the same numbers, and there is no generator to save.
    """

    def __init__(self, config: SynthesisConfig, space: Space) -> None:
        self.config = config
        self.space = space

    def begin_epoch(self, epoch: int, embed: Callable[[], tuple[Tensor, Tensor]], base: BaseLoss) -> None:
        """Before the first step of an epoch.

        Args:
            epoch: from 0.
            embed: gives raw embeddings [N, D] of all training images and their labels [N], without gradient; costs a
                pass over the data.
            base: the base loss.
        """

    def embed(self, model: nn.Module, inputs: Tensor, step: Step) -> Tensor:
        """Embeddings [B, D] of images or features; what mixes those does it here."""
        embeddings: Tensor = model(inputs)
        return embeddings

    def enlarge(self, batch: Batch, step: Step) -> Batch:
        """Adds rows and classes to a step. The real rows come first and the real classes keep their indices."""
        return batch

    def loss(self, base: BaseLoss, batch: Batch, step: Step) -> Tensor:
        """The loss of a step, a scalar; what needs more than one call of the base loss does it here."""
        return base(self.enlarge(batch, step))  # type: ignore[no-any-return]

    def parameters(self) -> Iterable[nn.Parameter]:
        """What the run's optimiser trains at the rate of the proxies."""
        return ()

    def epoch_metrics(self) -> dict[str, float]:
        """Figures of the epoch that has just ended, for its row."""
        return {}

    def kept(self) -> dict[str, Any]:
        """What pictures of the embedding space need of it beside network and proxies, as tensors and plain values on
        the CPU; stands beside the weights that a run keeps."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What the next epoch depends on, as tensors and plain values; a checkpoint holds it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up a state that `state_dict` gave.

        Raises:
            ValueError: the state belongs to another synthesis.
        """
        if state:
            raise ValueError(f"{type(self).__name__} has no state; the checkpoint holds {sorted(state)}")
