"""A training of seconds around a synthesis: a linear network on features, a base loss, plain gradient descent."""

from typing import Any

import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.losses.config import LossConfig
from trainables.losses.module import BaseLoss
from trainables.model import EmbeddingModel
from trainables.parts import load_implementation
from trainables.randomness import generator, isolated_rng
from trainables.step import Step
from trainables.synthesis.base import Space, Synthesis
from trainables.synthesis.config import SynthesisConfig
from trainables.training import checkpoint

NUM_CLASSES, EMBEDDING_DIM, FEATURES, STEPS = 5, 6, 7, 3
LABELS = (0, 1, 2, 3, 0, 1, 2, 2)
SHORT = (0, 1, 2, 1, 2)
"""The last batch of every epoch."""
_RATE = 0.05


class ToyTraining:
    """Everything about it is a function of the configurations, the precision and the device.

    Attributes:
        synthesis, base, model: what a run would have.
        last_losses: of the latest epoch.
    """

    def __init__(
        self,
        config: SynthesisConfig,
        loss: LossConfig,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        self.config, self.dtype, self.device = config, dtype, device or torch.device("cpu")
        base = BaseLoss(loss, num_classes=NUM_CLASSES, embedding_dim=EMBEDDING_DIM, seed=0)
        self.base = base.to(self.device, dtype)
        with isolated_rng(0, "toy training"):
            head = nn.Linear(FEATURES, EMBEDDING_DIM)
        self.model = EmbeddingModel(None, head).to(self.device, dtype)
        self.space = Space(
            num_classes=NUM_CLASSES,
            embedding_dim=EMBEDDING_DIM,
            centers_per_class=loss.centers,
            has_bias=loss.has_bias,
            device=self.device,
        )
        self.synthesis = self._built()
        self.epoch = 0
        self.last_losses: list[float] = []

    def _built(self) -> Synthesis:
        synthesis = load_implementation(self.config)(self.config, self.space)
        assert isinstance(synthesis, Synthesis)
        return synthesis

    @property
    def next_step(self) -> Step:
        """A step after those that were trained."""
        return Step(0, self.epoch, STEPS)

    @property
    def later_step(self) -> Step:
        """The step after `next_step`."""
        return Step(0, self.epoch, STEPS + 1)

    def after(self, epochs: int) -> "ToyTraining":
        """Trains until so many epochs are done."""
        while self.epoch < epochs:
            self.synthesis.begin_epoch(self.epoch, self._all_embeddings, self.base)
            steps = [Step(0, self.epoch, index) for index in range(STEPS)]
            losses = [self.train_step(step, labels=SHORT if step is steps[-1] else LABELS) for step in steps]
            self.last_losses = [loss.item() for loss in losses]
            self.epoch += 1
        return self

    def train_step(self, step: Step, *, labels: tuple[int, ...] = LABELS) -> Tensor:
        """One step of gradient descent on everything that a run would train; the detached loss."""
        value = self.value(self.embeddings(step, rows=len(labels)), step, labels=labels)
        parameters = [*self.model.parameters(), *self.base.parameters(), *self.synthesis.parameters()]
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=_RATE)
        return value.detach()

    def embeddings(self, step: Step, *, rows: int = len(LABELS)) -> Tensor:
        """What the network makes of the step's inputs."""
        return self.synthesis.embed(self.model, self._features(rows, "inputs", step.epoch, step.index), step)

    def value(self, embeddings: Tensor, step: Step, *, labels: tuple[int, ...] = LABELS) -> Tensor:
        """The loss of a step. Random draws of the base loss, if any, are the step's own."""
        batch = Batch(embeddings, self.targets(labels), self.base.classes)
        if not self._draws:
            return self.synthesis.loss(self.base, batch, step)
        with isolated_rng(step.seed, "library", step.epoch, step.index):
            return self.synthesis.loss(self.base, batch, step)

    @property
    def _draws(self) -> bool:
        """Pair losses may mine with global generators; the others have none to hide."""
        return not self.base.config.has_proxies

    def targets(self, labels: tuple[int, ...] = LABELS) -> Tensor:
        """Labels, or for a loss on label distances those of rows 1.. to row 0."""
        if self.base.config.target == "class":
            return torch.tensor(labels, device=self.device)
        others = torch.tensor(labels[1:], device=self.device, dtype=self.dtype)
        return (others - labels[0]).abs() + 0.5

    def enlarged(self) -> tuple[Batch, Batch]:
        """The next batch before and after the synthesis."""
        step = self.next_step
        batch = Batch(self.embeddings(step), self.targets(), self.base.classes)
        return batch, self.synthesis.enlarge(batch, step)

    def renew_synthesis(self, state: dict[str, Any]) -> None:
        """A new synthesis in this state."""
        self.synthesis = self._built()
        self.synthesis.load_state_dict(state)

    def _all_embeddings(self) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            embeddings: Tensor = self.model(self._features(4 * NUM_CLASSES, "training set"))
        return embeddings, torch.arange(NUM_CLASSES, device=self.device).repeat(4)

    def _features(self, rows: int, *scope: int | str) -> Tensor:
        drawn = torch.randn(rows, FEATURES, generator=generator(0, "toy training", *scope), dtype=torch.float64)
        return drawn.to(self.device, self.dtype)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint of a run has."""
        parts: dict[str, Any] = {"model": self.model, "base": self.base, "synthesis": self.synthesis}
        return {"epoch": self.epoch, **{name: part.state_dict() for name, part in parts.items()}}

    def to_bytes(self) -> bytes:
        """The state as a checkpoint."""
        return checkpoint.to_bytes(self.state_dict(), [])

    def from_bytes(self, stored: bytes) -> None:
        """Continues where `to_bytes` was taken."""
        state, _ = checkpoint.from_bytes(stored)
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.base.load_state_dict(state["base"])
        self.synthesis.load_state_dict(state["synthesis"])


def same(first: Any, second: Any) -> bool:
    """Whether two states are equal to the last bit."""
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    return bool(first == second)
