"""The fit of the strategy `ccp`: a pair loss against proxies chosen from images, and a pull to an anchor."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.config import RunConfig
from trainables.geometry import lipschitz
from trainables.losses.module import initial_proxies
from trainables.model import autocast
from trainables.randomness import derive_seed, numpy_generator
from trainables.step import Step
from trainables.strategies.ccp_centers import class_distance, covering_radius, draw_pool, greedy_k_center, take
from trainables.strategies.ccp_config import CCP
from trainables.training.data import RunData
from trainables.training.fit import EpochStats, Fit

_CHUNK = 256


class ProxyFit(Fit):
    """Trains a network with a pair loss against its own proxies, near an anchor.

    Attributes:
        proxies: [K * C, D], raw, proxy-major: row k * C + c has class c.
        anchor: weights of the network by name that the penalty pulls to; empty for zeros.
        proximal_weight: lambda of the penalty.
        covering_radius: of the newest proxies in the pool that they were chosen from, mean over classes; None where
            nothing was chosen.
        class_distance: of the same pool, from class to nearest class, mean over classes; None likewise.
        steps: optimization steps so far.
    """

    def __init__(self, run: RunConfig, data: RunData, *, epochs: int) -> None:
        super().__init__(run, data, epochs=epochs)
        self.proxy_labels = torch.arange(self.classes, device=data.device).repeat(self.strategy.proxies_per_class)
        self.anchor: dict[str, Tensor] = {}
        self.proximal_weight = 0.0
        self.covering_radius: float | None = None
        self.class_distance: float | None = None
        self.steps = 0

    def extra_proxies(self) -> list[nn.Parameter]:
        assert isinstance(self.run.strategy, CCP)
        self.strategy = self.run.strategy
        self.classes = len(self.data.split.train_classes)
        self.proxies = nn.Parameter(self._random_proxies())
        return [self.proxies]

    def train_epoch(self) -> EpochStats:
        if self.epoch == 0:
            same = self.strategy.first_instance == "same"
            self.draw_proxies(torch.zeros_like(self.proxies), how=self.strategy.initialization if same else "random")
        stats = super().train_epoch()
        self.steps += stats.steps
        return stats

    def objective(self, inputs: Tensor, embeddings: Tensor, labels: Tensor, step: Step) -> Tensor:
        """`pair_weight` times the loss within the batch plus `proxy_weight` times the one against all proxies."""
        batch = Batch.of(embeddings, labels, self.loss.classes)
        total = self.strategy.proxy_weight * self.loss.against(batch, self.proxies, self.proxy_labels)
        if self.strategy.pair_weight:
            total = total + self.strategy.pair_weight * self.synthesis.loss(self.loss, batch, step)
        return total

    def edit_gradients(self) -> None:
        """Adds lambda (weights - anchor), the gradient of the penalty, to those of the network."""
        if self.proximal_weight == 0:
            return
        for name, parameter in self.model.named_parameters():
            if parameter.grad is not None:
                weights = parameter.detach()
                away = weights - self.anchor[name] if self.anchor else weights
                parameter.grad.add_(away, alpha=self.proximal_weight)

    def set_anchor(self, network: dict[str, Tensor], *, weight: float) -> None:
        """Takes the trained weights of a network's state dict (empty for zeros) and the penalty's weight."""
        names = [name for name, _ in self.model.named_parameters() if network]
        self.anchor = {name: network[name].to(self.data.device) for name in names}
        self.proximal_weight = weight

    def draw_proxies(self, seeds: Tensor, *, how: str) -> None:
        """Replaces all proxies; the optimizer's moments of them go on.

        A class without an image (noise may have relabeled them all) keeps its proxies.

        Args:
            seeds: [K * C, D], proxies that k-center treats as chosen already.
            how: one of the values of the strategy's `initialization`.
        """
        self.covering_radius = self.class_distance = None
        if how == "random":
            self.proxies.data.copy_(self._random_proxies())
            return
        labels = self.data.split.train_labels
        present = torch.from_numpy(np.unique(labels)).to(self.data.device)
        pool = self._pool(labels)
        if how == "k_center" and self.strategy.pool_size > 1:
            pool = self._centers(pool, self._by_class(seeds).index_select(0, present))
        self._by_class(self.proxies.data).index_copy_(0, present, pool)

    def _by_class(self, proxies: Tensor) -> Tensor:
        """A view [C, K, D] of [K * C, D]."""
        return proxies.view(-1, self.classes, proxies.shape[1]).transpose(0, 1)

    def _random_proxies(self) -> Tensor:
        rows, seed = self.strategy.proxies_per_class * self.classes, derive_seed(self.run.seed, "ccp", self.epoch)
        return initial_proxies(rows, self.run.embedding_dim, "kaiming_normal", seed=seed).to(self.data.device)

    def _pool(self, labels: np.ndarray) -> Tensor:
        """Raw embeddings [C', b', D] of images drawn from the C' classes that occur."""
        drawn = draw_pool(labels, self.strategy.pool_images, numpy_generator(self.run.seed, "ccp", self.epoch))
        flat = drawn.reshape(-1)
        augmented = self.strategy.pool_augmentation == "training"
        embeddings = self._embed_augmented(flat) if augmented else self.embed(self.data.split.train[flat])
        return embeddings.view(*drawn.shape, -1)

    @torch.no_grad()
    def _embed_augmented(self, positions: np.ndarray) -> Tensor:
        """Raw embeddings of augmented training images, in evaluation mode."""
        self.model.eval()
        seed, chunks = derive_seed(self.run.seed, "ccp"), []
        for index, start in enumerate(range(0, len(positions), _CHUNK)):
            inputs = self.training_inputs(positions[start : start + _CHUNK], Step(seed, self.epoch, index))
            with autocast(self.run):
                chunks.append(self.model(inputs))
        return torch.cat(chunks)

    def _centers(self, pool: Tensor, seeds: Tensor) -> Tensor:
        """The raw points [C', K, D] that greedy k-center chooses from [C', b', D] beside seeds [C', K, D]."""
        normalized = self.strategy.center_space == "normalized"
        points, seeds = (lipschitz(pool), lipschitz(seeds)) if normalized else (pool, seeds)
        chosen = greedy_k_center(points, seeds, self.strategy.proxies_per_class)
        self.covering_radius = covering_radius(points, take(points, chosen)).mean().item()
        self.class_distance = class_distance(points).mean().item()
        return take(pool, chosen)

    def weights(self) -> dict[str, Any]:
        return {**super().weights(), "ccp": {"proxies": self.proxies.detach().cpu().clone()}}

    def load_weights(self, weights: dict[str, Any]) -> None:
        super().load_weights(weights)
        self.proxies.data.copy_(weights["ccp"]["proxies"])

    def state_dict(self) -> dict[str, Any]:
        own = {
            "anchor": {name: value.cpu() for name, value in self.anchor.items()},
            "proximal_weight": self.proximal_weight,
            "covering_radius": self.covering_radius,
            "class_distance": self.class_distance,
            "steps": self.steps,
        }
        return {**super().state_dict(), "ccp": own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        own = state["ccp"]
        self.anchor = {name: value.to(self.data.device) for name, value in own["anchor"].items()}
        self.class_distance = own.get("class_distance")  # checkpoints of older versions have none
        self.proximal_weight, self.covering_radius, self.steps = (
            own[key] for key in ("proximal_weight", "covering_radius", "steps")
        )
