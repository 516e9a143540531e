"""One optimisation of one network: the training loop. It knows no loss, synthesis, sampler or optimiser by name."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.config import RunConfig
from trainables.errors import TrainingError
from trainables.losses.module import ProxyLoss
from trainables.model import EmbeddingModel, autocast, build_model
from trainables.parts import load_implementation
from trainables.randomness import isolated_rng
from trainables.step import Step
from trainables.training.data import RunData
from trainables.training.optimizer import build_optimizer, rates, scale_rates
from trainables.training.schedules import warmup

_EMBED_CHUNK = 256


@dataclass(frozen=True)
class EpochStats:
    """What one epoch of training cost and gave."""

    steps: int
    train_loss: float
    lr: float
    proxy_lr: float
    images_per_second: float
    train_seconds: float


class Fit:
    """A network, its classes and its optimiser on the training classes of a split.

    Everything that the next epoch depends on is in `state_dict`; random draws are functions of (seed, purpose, epoch,
    step), so a fit that was stopped after an epoch goes on to the same bits.
    """

    def __init__(self, run: RunConfig, data: RunData, *, epochs: int) -> None:
        """Args: epochs: to train; fewer than the run's own end early on the same schedule."""
        self.run, self.data, self.epochs = run, data, epochs
        self.epoch = 0
        self.model = self._build_model()
        classes = len(data.split.train_classes)
        proxies = ProxyLoss(run.loss, num_classes=classes, embedding_dim=run.embedding_dim, seed=run.seed)
        self.loss = proxies.to(data.device)
        self.synthesis = load_implementation(run.synthesis)(run.synthesis)
        self.optimizer = build_optimizer(
            run.optimizer,
            backbone=self.model.backbone.parameters() if self.model.backbone is not None else (),
            head=self.model.head.parameters(),
            proxies=self.loss.parameters(),
        )
        self.scaler = torch.amp.GradScaler(data.device.type, enabled=run.precision == "float16")

    def _build_model(self) -> EmbeddingModel:
        images = self.data.images.images
        features = int(self.data.inputs.shape[1]) if self.data.cached_features else None
        model = build_model(self.run, channels=images.shape[1], feature_dim=features)
        if self.run.training.memory_format == "channels_last":
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model.to(self.data.device)

    def train_epoch(self) -> EpochStats:
        """One epoch of optimisation.

        Raises:
            TrainingError: the loss became NaN or infinite.
        """
        start = time.perf_counter()
        self.model.train()
        self.loss.train()
        self._freeze_backbone(self.epoch < self.run.training.warmup_epochs)
        batches = self._batches()
        total = torch.zeros((), device=self.data.device, dtype=torch.float64)
        with isolated_rng(self.run.seed, "library", self.epoch):
            for index, batch in enumerate(batches):
                self._set_rates((index + 1) / len(batches))
                total += self._step(batch, Step(self.run.seed, self.epoch, index))
        mean_loss = total.item() / len(batches)
        if not math.isfinite(mean_loss):
            raise TrainingError(f"the training loss became {mean_loss} in epoch {self.epoch + 1}")
        self.epoch += 1
        return self._stats(batches, mean_loss, time.perf_counter() - start)

    def _stats(self, batches: list[np.ndarray], mean_loss: float, seconds: float) -> EpochStats:
        lr = rates(self.optimizer)
        images = sum(len(batch) for batch in batches)
        return EpochStats(
            steps=len(batches),
            train_loss=mean_loss,
            lr=lr.get("backbone", lr.get("head", math.nan)),
            proxy_lr=lr.get("proxies", math.nan),
            images_per_second=images / seconds,
            train_seconds=seconds,
        )

    def _batches(self) -> list[np.ndarray]:
        sampler = load_implementation(self.run.sampler)
        labels = self.data.split.train_labels
        batches: list[np.ndarray] = sampler(
            self.run.sampler, labels, batch_size=self.run.training.batch_size, seed=self.run.seed, epoch=self.epoch
        )
        if not batches:
            raise TrainingError(f"the training classes have {len(labels)} images, too few for one batch")
        return batches

    def _set_rates(self, step_share: float) -> None:
        training = self.run.training
        factor = load_implementation(self.run.schedule)(self.run.schedule, epoch=self.epoch, epochs=training.epochs)
        rise = warmup(epoch=self.epoch, step_share=step_share, warmup_epochs=training.lr_warmup_epochs)
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
        inputs = self._inputs(batch, step)
        labels = torch.from_numpy(self.data.split.train_labels[batch]).to(self.data.device)
        with autocast(self.run):
            embeddings = self.model(inputs)
        embeddings, labels, classes = self.synthesis.enlarge(embeddings, labels, self.loss.classes, step)
        loss: Tensor = self.loss(embeddings, labels, classes)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def _inputs(self, batch: np.ndarray, step: Step) -> Tensor:
        inputs = self.data.batch(self.data.split.train[batch])
        if self.data.cached_features:
            return inputs
        from trainables.datasets.augmentation import augment

        return self._formatted(augment(inputs, self.run.augmentation, step.generator("augmentation")))

    def _formatted(self, images: Tensor) -> Tensor:
        if self.run.training.memory_format == "channels_last":
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def _clip(self) -> None:
        training = self.run.training
        if training.clip_norm is None and training.clip_value is None:
            return
        self.scaler.unscale_(self.optimizer)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        if training.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, training.clip_norm)
        if training.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, training.clip_value)

    @torch.inference_mode()
    def embed(self, positions: np.ndarray) -> Tensor:
        """Raw float32 embeddings [len(positions), D] of images, in evaluation mode."""
        self.model.eval()
        return torch.cat(list(self._embedded_chunks(positions)))

    def _embedded_chunks(self, positions: np.ndarray) -> Iterator[Tensor]:
        for start in range(0, len(positions), _EMBED_CHUNK):
            inputs = self.data.batch(positions[start : start + _EMBED_CHUNK])
            with autocast(self.run):
                yield self.model(inputs if self.data.cached_features else self._formatted(inputs))

    def weights(self) -> dict[str, Any]:
        """A copy on the CPU of the trained weights, network and proxies."""
        parts = {"model": self.model.state_dict(), "loss": self.loss.state_dict()}
        return {name: {key: value.cpu().clone() for key, value in part.items()} for name, part in parts.items()}

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
