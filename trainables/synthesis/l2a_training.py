"""How the generator of L2A is trained: alternately with a critic, and together with the novel classes."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.devices import sent
from trainables.geometry import unit, widened
from trainables.losses.module import BaseLoss
from trainables.randomness import isolated_rng
from trainables.synthesis import l2a_config as configs
from trainables.synthesis import l2a_terms as terms
from trainables.synthesis.base import Space
from trainables.synthesis.l2a_networks import Critic, Generator
from trainables.synthesis.l2a_novel import NovelClasses

Source = Callable[[str], torch.Generator]
"""A stream for each purpose, so that a term that is switched off leaves the draws of the others as they are."""

_BETAS = (0.0, 0.9)


@dataclass(frozen=True)
class Real:
    """Real embeddings as constants: unit directions [N, D], and their mean length, a scalar."""

    directions: Tensor
    length: Tensor

    @classmethod
    def of(cls, embeddings: Tensor) -> "Real":
        """Raw embeddings [N, D]."""
        embeddings = widened(embeddings.detach())
        return cls(unit(embeddings), torch.linalg.vector_norm(embeddings, dim=1).mean())


class GeneratorTraining:
    """Generator, critic and novel classes with their optimisers; all of it is in `state_dict`.

    The generator's optimiser also moves the novel classes, which the class and the divergence term reach.
    """

    def __init__(self, config: configs.L2A, space: Space) -> None:
        self.config, self.space = config, space
        self.weights = config.term_weights()
        count = config.novel_classes(space.num_classes)
        self.novel = NovelClasses(count, space).to(space.device)
        self.generator = _generator(config, space, space.num_classes + count)
        self.critic = _critic(config, space) if config.critic_weight else None
        self.trained = [*self.generator.parameters(), *(self.novel.parameters() if count else ())]
        self.optimizer = _adam(self.trained, config)
        self.critic_optimizer = _adam(list(self.critic.parameters()), config) if self.critic else None
        self.novel_count = count
        self.new_epoch()

    def new_epoch(self) -> None:
        """Forgets the critic's gaps so far."""
        self._gap = torch.zeros((), device=self.space.device)
        self._gaps = 0

    @property
    def critic_gap(self) -> Tensor | None:
        """Mean over the critic's steps of this epoch of its score of real minus that of generated embeddings."""
        return self._gap / self._gaps if self._gaps else None

    @property
    def idle(self) -> bool:
        """Whether every term is switched off, and the generator stays as it was drawn."""
        return not any(self.weights.values())

    def step(self, base: BaseLoss, classes: Classes, real: Real, source: Source) -> None:
        """`critic_steps` steps of the critic and one of the generator.

        Args:
            base: gives the class term; neither its parameters nor its state change.
            classes: the learned ones, C.
            real: what the critic takes for real.
            source: where the step's random draws come from.
        """
        with torch.enable_grad(), torch.autocast(self.space.device.type, enabled=False):
            if self.critic is not None:
                random = source("critic")
                for _ in range(self.config.critic_steps):
                    self._critic_step(self.critic, real.directions, random)
            self._generator_step(base, classes, real.length, source)

    def _critic_step(self, critic: Critic, real: Tensor, random: torch.Generator) -> None:
        assert self.critic_optimizer is not None
        size = self.config.generator_batch_size
        chosen = sent(torch.randint(real.shape[0], (size,), generator=random), real.device)
        share = sent(torch.rand(size, generator=random), real.device)
        rows = real.index_select(0, chosen).to(self.novel.weights.dtype)
        with torch.no_grad():
            generated = self.generator(*self._drawn(random))
        gap = terms.critic_gap(critic, rows, generated)
        weight, penalty = self.config.gradient_penalty, gap.new_zeros(())
        if weight:
            penalty = terms.gradient_penalty(critic, terms.between(rows, generated, share))
        terms.critic_objective(gap, penalty, penalty_weight=weight).backward()  # type: ignore[no-untyped-call]
        self.critic_optimizer.step()
        self.critic_optimizer.zero_grad(set_to_none=True)
        self._gap += gap.detach()
        self._gaps += 1

    def _generator_step(self, base: BaseLoss, classes: Classes, length: Tensor, source: Source) -> None:
        noise, labels = self._drawn(source("generator"))
        objective = terms.weighted_sum(self.terms(base, classes, length, noise, labels, source), self.weights)
        if objective is None:
            return
        # The run's optimiser holds the novel classes too: neither sees the gradient of the other's objective.
        self.optimizer.zero_grad(set_to_none=True)
        objective.backward(inputs=self.trained)  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def terms(
        self, base: BaseLoss, classes: Classes, length: Tensor, noise: Tensor, labels: Tensor, source: Source
    ) -> dict[str, Callable[[], Tensor]]:
        """The generator's terms by name, not computed yet, on one batch of noise [N, d_z] and labels [N]."""
        config, critic = self.config, self.critic
        bias = None if classes.bias is None else classes.bias.detach()
        seen = replace(classes, weights=classes.weights.detach(), bias=bias)
        rows = cache(lambda: self.generator(noise, labels))

        def realism() -> Tensor:
            assert critic is not None
            return terms.realism(critic, rows())

        def diversity() -> Tensor:
            other = sent(torch.randn(noise.shape, generator=source("diversity")), noise.device).to(noise.dtype)
            return terms.mode_seeking(rows(), self.generator(other, labels), noise, other, clip=config.diversity_clip)

        def divergence() -> Tensor:
            return terms.divergence(
                self.novel.weights,
                seen.weights,
                sharpness=config.divergence_sharpness,
                centers_per_class=seen.centers_per_class,
            )

        def belonging() -> Tensor:
            return stateless(base, Batch(rows() * length, labels, self.novel.beside(seen), real=0))

        return {"critic": realism, "class": belonging, "divergence": divergence, "diversity": diversity}

    def _drawn(self, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Noise [N, d_z] and classes [N]: half of them seen, half novel, where there are any."""
        size, seen, count = self.config.generator_batch_size, self.space.num_classes, self.novel_count
        half = size // 2 if count else 0
        noise = torch.randn(size, self.config.noise_dim, generator=random)
        labels = torch.randint(seen, (size - half,), generator=random)
        if half:
            labels = torch.cat([labels, seen + torch.randint(count, (half,), generator=random)])
        device = self.space.device
        return sent(noise, device).to(self.novel.weights.dtype), sent(labels, device)

    def state_dict(self) -> dict[str, Any]:
        """Copies of all weights and of the optimisers' states."""
        return deepcopy({name: part.state_dict() for name, part in self._parts().items()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Into the parameters that are there, which the run's optimiser may hold."""
        for name, part in self._parts().items():
            part.load_state_dict(deepcopy(state[name]))

    @property
    def part_names(self) -> list[str]:
        """Keys of `state_dict`."""
        return list(self._parts())

    def _parts(self) -> dict[str, Any]:
        parts = {"generator": self.generator, "novel": self.novel, "optimizer": self.optimizer}
        if self.critic is None:
            return parts
        return {**parts, "critic": self.critic, "critic_optimizer": self.critic_optimizer}


def stateless(base: BaseLoss, batch: Batch) -> Tensor:
    """The base loss of generated rows; what it follows of the training (CurricularFace) stays as it is."""
    training = base.training
    try:
        loss: Tensor = base.eval()(batch)
    finally:
        base.train(training)
    return loss


def _generator(config: configs.L2A, space: Space, classes: int) -> Generator:
    with isolated_rng(space.seed, "l2a", "generator"):
        network = Generator(
            classes=classes,
            embedding_dim=space.embedding_dim,
            noise_dim=config.noise_dim,
            condition_dim=config.condition_dim,
            width=config.generator_width,
            depth=config.generator_depth,
        )
    return network.to(space.device)


def _critic(config: configs.L2A, space: Space) -> Critic:
    with isolated_rng(space.seed, "l2a", "critic"):
        network = Critic(embedding_dim=space.embedding_dim, width=config.critic_width, depth=config.critic_depth)
    return network.to(space.device)


def _adam(parameters: list[nn.Parameter], config: configs.L2A) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=config.generator_lr, betas=_BETAS, fused=True)
