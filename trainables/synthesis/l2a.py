"""L2A as a part of a training run: novel classes whose embeddings a generator makes."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.devices import sent
from trainables.geometry import cosines, widened
from trainables.losses.module import BaseLoss
from trainables.randomness import generator as random_stream
from trainables.step import Step
from trainables.synthesis import l2a_config as configs
from trainables.synthesis.base import Space, Synthesis
from trainables.synthesis.l2a_training import GeneratorTraining, Real, Source, stateless

_SPREAD_PAIRS = 256


class L2A(Synthesis):
    """Generated novel classes: a reconstruction of "Learning to Generate Novel Classes for Deep Metric Learning" (BMVC
    2021, arXiv 2201.01008).

    It is not the authors' code, of which none was found; their abstract says that a conditional generator makes
    realistic and diverse embeddings of novel classes from noise, for proxy losses. The rest is built around that:

    - Warm-up, `warmup_epochs`: the base loss alone.
    - The generator's training, with the network's embeddings and proxies as constants. A critic on embeddings (WGAN-GP)
      and the generator take turns. The generator minimises `critic_weight * realism + class_weight * base loss +
      divergence_weight * divergence + diversity_weight * mode_seeking` (see `l2a_terms`) on classes of which half are
      seen and half novel. Its optimiser moves the novel proxies too.
    - Augmented training: every step has `ratio * B` generated rows in addition, as constants, and M novel classes. They
      are repelled from real rows and real proxies by the base loss, whose gradient reaches the network, the proxies
      and, with `novel_proxies: trained`, the novel proxies: those then have two optimisers, the run's and the
      generator's. The generator is frozen, trained again every few epochs, or by one step with each step of the run.

    Generated directions get the mean length of the real rows, which matters to losses that do not normalise. Novel
    biases start at the mean bias. Generated rows leave a loss's running averages alone.
    """

    config: configs.L2A

    def __init__(self, config: configs.L2A, space: Space) -> None:
        super().__init__(config, space)
        self.training = GeneratorTraining(config, space)
        self.started = False
        self._epoch = 0
        self._classes: Classes | None = None

    def begin_epoch(self, epoch: int, embed: Callable[[], tuple[Tensor, Tensor]], base: BaseLoss) -> None:
        """Trains the generator where it is due.

        Raises:
            ValueError: the loss has no proxies.
        """
        self._epoch, self._classes = epoch, _learned(base.classes)
        self.training.new_epoch()
        if epoch < self.config.warmup_epochs:
            return
        if not self.started:
            self.training.novel.start(self._classes)
        if not self.training.idle and (not self.started or self._due(epoch)):
            self._train(Real.of(embed()[0]), base, self._classes)
        self.started = True

    def _due(self, epoch: int) -> bool:
        since = epoch - self.config.warmup_epochs
        return self.config.refresh == "epoch" and since % self.config.refresh_every == 0

    def _train(self, real: Real, base: BaseLoss, classes: Classes) -> None:
        for index in range(self.config.generator_steps):
            source = _source(Step(self.space.seed, self._epoch, index), "l2a refresh")
            self.training.step(base, classes, real, source)

    def loss(self, base: BaseLoss, batch: Batch, step: Step) -> Tensor:
        """The base loss on real and generated rows and classes, in the reduction of the configuration."""
        if self.started and self.config.refresh == "step" and not self.training.idle:
            real = Real.of(batch.embeddings)
            self.training.step(base, _learned(batch.classes), real, _source(step, "l2a"))
        enlarged = self.enlarge(batch, step)
        rows = batch.embeddings.shape[0]
        if self.config.reduction == "mean_all" or enlarged.embeddings.shape[0] == rows:
            return base(enlarged)  # type: ignore[no-any-return]
        loss: Tensor = base(replace(batch, classes=enlarged.classes))
        if not self.config.generated_weight:
            return loss
        generated = Batch(enlarged.embeddings[rows:], enlarged.labels[rows:], enlarged.classes, real=0)
        return loss + self.config.generated_weight * stateless(base, generated)

    def enlarge(self, batch: Batch, step: Step) -> Batch:
        """After the warm-up: generated rows, which are constants, and the novel classes.

        Raises:
            ValueError: the loss has no proxies.
        """
        learned = _learned(batch.classes)
        if not self.started:
            return batch
        novel = self.training.novel
        classes = (novel.constant_beside if self.config.novel_proxies == "fixed" else novel.beside)(learned)
        rows, labels = self._generated(batch, step)
        with torch.autocast(self.space.device.type, enabled=False):
            embeddings = torch.cat([widened(batch.embeddings), rows])
        return Batch(embeddings, torch.cat([batch.labels, labels]), classes, real=batch.real_rows)

    @torch.no_grad()
    def _generated(self, batch: Batch, step: Step) -> tuple[Tensor, Tensor]:
        """Rows [n, D] of the mean length of the real ones, and their labels [n]."""
        count, random = self.config.generated_rows(batch.embeddings.shape[0]), step.generator("l2a rows")
        labels = self._drawn_classes(count, random)
        length = Real.of(batch.embeddings).length
        return self._sampled(labels, random).to(length.dtype) * length, labels.to(batch.labels.dtype)

    def _drawn_classes(self, count: int, random: torch.Generator) -> Tensor:
        """Classes [count] in groups of `samples_per_class`; a class comes again only when all have been drawn."""
        seen, novel = self.space.num_classes, self.training.novel_count
        first, pool = {"novel": (seen, novel), "seen": (0, seen), "both": (0, seen + novel)}[self.config.generate]
        groups = -(-count // self.config.samples_per_class)
        rounds = [torch.randperm(pool, generator=random) for _ in range(-(-groups // pool))]
        drawn = torch.cat(rounds)[:groups] if rounds else torch.empty(0, dtype=torch.int64)
        return sent(first + drawn.repeat_interleave(self.config.samples_per_class)[:count], self.space.device)

    def _sampled(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Unit vectors [n, D] of the classes [n], without gradient."""
        noise = torch.randn(labels.shape[0], self.config.noise_dim, generator=random)
        with torch.no_grad(), torch.autocast(self.space.device.type, enabled=False):
            noise = sent(noise, labels.device).to(self.training.novel.weights.dtype)
            rows: Tensor = self.training.generator(noise, labels)
        return rows

    def parameters(self) -> Iterable[nn.Parameter]:
        """The novel classes, unless they are fixed for the run's loss."""
        trained = self.training.novel_count and self.config.novel_proxies == "trained"
        return list(self.training.novel.parameters()) if trained else ()

    def epoch_metrics(self) -> dict[str, float]:
        """What tells a collapse; empty during the warm-up.

        `synthesis_classes`: all classes. `synthesis_spread`: mean distance of two generated unit vectors of one class.
        `synthesis_novel_cosine`: largest cosine of a novel and a learned proxy. `synthesis_critic_gap`: mean over the
        critic's steps of this epoch, if there were any, of its score of real minus that of generated embeddings.
        """
        if not self.started or self._classes is None:
            return {}
        figures = {"synthesis_spread": self._spread()}
        if self.training.novel_count:
            novel, seen = self.training.novel.weights.detach(), self._classes.weights.detach()
            figures["synthesis_novel_cosine"] = cosines(novel, seen).max()
        if (gap := self.training.critic_gap) is not None:
            figures["synthesis_critic_gap"] = gap
        values = torch.stack([figure.double() for figure in figures.values()]).tolist()
        classes = float(self.space.num_classes + self.training.novel_count)
        return {"synthesis_classes": classes, **dict(zip(figures, values, strict=True))}

    def _spread(self) -> Tensor:
        random = random_stream(self.space.seed, "l2a spread", self._epoch)
        labels = self._drawn_classes(_SPREAD_PAIRS, random)
        first, second = self._sampled(labels, random), self._sampled(labels, random)
        distances: Tensor = torch.linalg.vector_norm(first - second, dim=1)
        return distances.mean()

    def kept(self) -> dict[str, Any]:
        """The generator and the novel classes."""
        if not self.started:
            return {}
        parts = {"generator": self.training.generator, "novel": self.training.novel}
        return {name: _on_cpu(part.state_dict()) for name, part in parts.items()}

    def take_up(self, kept: dict[str, Any]) -> None:
        """Generates as the run that kept this did."""
        self.training.generator.load_state_dict(kept["generator"])
        self.training.novel.load_state_dict(kept["novel"])
        self.started = True

    def state_dict(self) -> dict[str, Any]:
        return {"started": self.started, **self.training.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        expected = {"started", *self.training.part_names}
        if state.keys() != expected:
            raise ValueError(f"l2a has the state {sorted(expected)}; the checkpoint holds {sorted(state)}")
        self.started = state["started"]
        self.training.load_state_dict(state)


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.cpu().clone() for key, value in state.items()}


def _source(step: Step, prefix: str) -> Source:
    return lambda purpose: step.generator(f"{prefix} {purpose}")


def _learned(classes: Classes | None) -> Classes:
    if classes is None:
        raise ValueError("l2a generates embeddings of classes with proxies, and this loss has none")
    return classes
