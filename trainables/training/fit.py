"""One optimisation of one network: the training loop. It knows no loss, synthesis, sampler or optimiser by name."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.config import RunConfig
from trainables.errors import TrainingError
from trainables.losses.module import BaseLoss
from trainables.model import EmbeddingModel, autocast, build_model
from trainables.parts import load_implementation
from trainables.randomness import isolated_rng
from trainables.step import Step
from trainables.synthesis.base import Space, Synthesis
from trainables.training.data import RunData
from trainables.training.embedding import embed, formatted
from trainables.training.optimizer import build_optimizer, rates, scale_rates
from trainables.training.samplers import Batches
from trainables.training.schedules import warmup


@dataclass(frozen=True)
class EpochStats:
    """What one epoch of training cost and gave."""

    steps: int
    train_loss: float
    lr: float
    proxy_lr: float | None
    images_per_second: float
    train_seconds: float


class Fit:
    """A network, its classes and its optimiser on the training classes of a split.

    Everything that the next epoch depends on is in `state_dict`; random draws are functions of (seed, purpose, epoch,
    step), so a fit that was stopped after an epoch goes on to the same bits.

    Strategies override `objective`, `edit_gradients`, `training_inputs` and `extra_proxies`.
    """

    def __init__(self, run: RunConfig, data: RunData, *, epochs: int) -> None:
        """Args: epochs: to train; fewer than the run's own end early on the same schedule."""
        self.run, self.data, self.epochs = run, data, epochs
        self.epoch = 0
        self.model = self._build_model()
        classes = len(data.split.train_classes)
        base = BaseLoss(run.loss, num_classes=classes, embedding_dim=run.embedding_dim, seed=run.seed)
        self.loss = base.to(data.device)
        with isolated_rng(run.seed, "synthesis"):
            self.synthesis: Synthesis = load_implementation(run.synthesis)(run.synthesis, self._space(classes))
        self.optimizer = build_optimizer(
            run.optimizer,
            backbone=self.model.backbone.parameters() if self.model.backbone is not None else (),
            head=self.model.head.parameters(),
            proxies=[*self.loss.parameters(), *self.synthesis.parameters(), *self.extra_proxies()],
        )
        self.scaler = torch.amp.GradScaler(data.device.type, enabled=run.precision == "float16")
        self.stream = Batches(self._pass, steps=run.training.steps_per_epoch)

    def extra_proxies(self) -> Iterable[nn.Parameter]:
        """Proxies of a strategy's own, made before the optimiser that trains them."""
        return ()

    def _space(self, classes: int) -> Space:
        return Space(
            num_classes=classes,
            embedding_dim=self.run.embedding_dim,
            centers_per_class=self.run.loss.centers,
            has_bias=self.run.loss.has_bias,
            batch_size=self.run.training.batch_size,
            seed=self.run.seed,
            device=self.data.device,
        )

    def _build_model(self) -> EmbeddingModel:
        model = build_model(self.run, channels=self.data.images.channels, feature_dim=self.data.feature_dim)
        if self.run.training.memory_format == "channels_last":
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.run.training.compile and model.backbone is not None:
            model.backbone.compile()  # in place: names of weights stay
        return model.to(self.data.device)

    def train_epoch(self) -> EpochStats:
        """One epoch of optimisation.

        Raises:
            TrainingError: the loss became NaN or infinite.
        """
        start = time.perf_counter()
        with isolated_rng(self.run.seed, "synthesis", self.epoch):
            self.synthesis.begin_epoch(self.epoch, self._training_embeddings, self.loss)
        self.model.train()
        self.loss.train()
        self._freeze_backbone(self.epoch < self.run.training.warmup_epochs)
        batches = self.batches()
        total = torch.zeros((), device=self.data.device, dtype=torch.float64)
        self.data.inputs.expect(self.data.split.train[batch] for batch in batches)
        with isolated_rng(self.run.seed, "library", self.epoch):
            for index, batch in enumerate(batches):
                self.set_rates(index, len(batches))
                total += self._step(batch, Step(self.run.seed, self.epoch, index))
        return self.epoch_over(batches, total.item() / len(batches), time.perf_counter() - start)

    def epoch_over(self, batches: list[np.ndarray], mean_loss: float, seconds: float) -> EpochStats:
        """Counts an epoch whose steps are done.

        Raises:
            TrainingError: the loss became NaN or infinite.
        """
        if not math.isfinite(mean_loss):
            title = objective_title(self.run)
            raise TrainingError(f"the training loss became {mean_loss} in epoch {self.epoch + 1}: {title}")
        self.epoch += 1
        return self._stats(batches, mean_loss, seconds)

    def _stats(self, batches: list[np.ndarray], mean_loss: float, seconds: float) -> EpochStats:
        lr = rates(self.optimizer)
        images = sum(len(batch) for batch in batches)
        return EpochStats(
            steps=len(batches),
            train_loss=mean_loss,
            lr=lr.get("backbone", lr.get("head", math.nan)),
            proxy_lr=lr.get("proxies"),
            images_per_second=images / seconds,
            train_seconds=seconds,
        )

    def batches(self) -> list[np.ndarray]:
        """Those of the epoch to come."""
        return self.stream.of(self.epoch)

    def _pass(self, number: int) -> list[np.ndarray]:
        """The batches of a pass over the training images."""
        sampler = load_implementation(self.run.sampler)
        labels = self.data.split.train_labels
        batches: list[np.ndarray] = sampler(
            self.run.sampler,
            labels,
            batch_size=self.run.training.batch_size,
            seed=self.run.seed,
            epoch=number,
            targets=self.data.training_targets,
        )
        if not batches:
            raise TrainingError(f"the training classes have {len(labels)} images, too few for one batch")
        return batches

    def steps_per_epoch(self) -> int:
        """Steps of the epoch to come."""
        return len(self.batches())

    def set_rates(self, index: int, per_epoch: int) -> None:
        """Of step `index` (from 0) of an epoch of `per_epoch` steps."""
        training, steps = self.run.training, self.epoch * per_epoch + index
        schedule = load_implementation(self.run.schedule)
        factor = schedule(self.run.schedule, epoch=self.epoch, epochs=training.epochs, steps=steps)
        share = (index + 1) / per_epoch
        rise = warmup(epoch=self.epoch, step_share=share, warmup_epochs=training.lr_warmup_epochs)
        scale_rates(self.optimizer, factor * rise)

    def _freeze_backbone(self, frozen: bool) -> None:
        if self.model.backbone is None:
            return
        for group in self.optimizer.param_groups:
            if group["name"] == "backbone":
                for parameter in group["params"]:
                    parameter.requires_grad_(not frozen)

    def _step(self, batch: np.ndarray, step: Step) -> Tensor:
        """One optimisation step on the training positions `batch`; returns the detached loss."""
        inputs = self.training_inputs(batch, step)
        with autocast(self.run):
            embeddings = self.synthesis.embed(self.model, inputs, step)
        loss = self.objective(inputs, embeddings, self._labels(batch), step)
        if loss.dim():
            raise TrainingError(f"{objective_title(self.run)} should be a scalar, its shape is {tuple(loss.shape)}")
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        self.edit_gradients()
        self._clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def objective(self, inputs: Tensor, embeddings: Tensor, labels: Tensor, step: Step) -> Tensor:
        """What a step minimises, a scalar.

        Args:
            inputs: [B, ...], the augmented images or cached features.
            embeddings: [B, D] of the inputs.
            labels: [B], what the loss compares them by, on the CPU.
        """
        return self.synthesis.loss(self.loss, Batch.of(embeddings, labels, self.loss.classes), step)

    def edit_gradients(self) -> None:
        """Between the backward pass and the clipping of gradients."""

    def _labels(self, batch: np.ndarray) -> Tensor:
        """Classes [B]; for a loss on label distances, those of rows 1.. to row 0, [B - 1]. On the CPU."""
        targets = self.data.images.targets
        if self.run.loss.target == "distance" and targets is not None:
            images = self.data.split.train[batch]
            return torch.from_numpy(targets.distances(images[0], images[1:]))
        return torch.from_numpy(self.data.split.train_labels[batch])

    def training_inputs(self, batch: np.ndarray, step: Step) -> Tensor:
        """Augmented images, or cached features, of the training positions `batch`."""
        return self.inputs_at(self.data.split.train[batch], step)

    def inputs_at(self, positions: np.ndarray, step: Step) -> Tensor:
        """The same for positions in the data."""
        inputs = self.data.batch(positions)
        if self.data.cached_features:
            return inputs
        from trainables.datasets.augmentation import augment

        source, shapes = step.generator("augmentation"), self.data.shapes(positions)
        return formatted(self.run, augment(inputs, self.run.augmentation, source, shapes=shapes))

    def _clip(self) -> None:
        training = self.run.training
        if training.clip_norm is None and training.clip_value is None:
            return
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        if training.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, training.clip_norm)
        if training.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, training.clip_value)

    def _training_embeddings(self) -> tuple[Tensor, Tensor]:
        """Raw embeddings of all training images, without augmentation, and their labels."""
        labels = torch.from_numpy(self.data.split.train_labels).to(self.data.device)
        return self.embed(self.data.split.train), labels

    def embed(self, positions: np.ndarray) -> Tensor:
        """Raw float32 embeddings [len(positions), D] of images, in evaluation mode."""
        return embed(self.run, self.model, self.data, positions)

    def weights(self) -> dict[str, Any]:
        """A copy on the CPU of the trained weights, network and proxies."""
        parts = {"model": self.model.state_dict(), "loss": self.loss.state_dict()}
        return {name: {key: value.cpu().clone() for key, value in part.items()} for name, part in parts.items()}

    def kept(self) -> dict[str, Any]:
        """What a run keeps of an epoch: the weights, and what pictures need of the synthesis."""
        synthesis = self.synthesis.kept()
        return {**self.weights(), **({"synthesis": synthesis} if synthesis else {})}

    def load_weights(self, weights: dict[str, Any]) -> None:
        """The inverse of `weights`."""
        self.model.load_state_dict(weights["model"])
        self.loss.load_state_dict(weights["loss"])

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "epoch": self.epoch,
            "weights": self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "synthesis": self.synthesis.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        self.epoch = state["epoch"]
        self.load_weights(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.synthesis.load_state_dict(state["synthesis"])


def objective_title(run: RunConfig) -> str:
    """What a run minimises, in words."""
    if not run.strategy.uses_loss:
        return f"the objective of strategy '{run.strategy.name}'"
    synthesis = f" with synthesis '{run.synthesis.name}'" if run.synthesis.name != "none" else ""
    return f"loss '{run.loss.name}'{synthesis}"
