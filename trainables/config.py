"""The resolved configuration of one run and its content address. Free of torch and ray: planning imports it."""

import hashlib
import json
from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SerializeAsAny, model_validator

from trainables.backbones.config import BACKBONES, BackboneConfig, Conv4
from trainables.datasets.config import DATASETS, DatasetConfig, Glyphs
from trainables.head_config import Head
from trainables.losses.config import LossConfig, NormSoftmax
from trainables.losses.registry import LOSSES
from trainables.parts import Config, Part, added, at_defaults, hidden, identity, part_validator
from trainables.registry import Registry
from trainables.strategies.config import Kept, Plain, StrategyConfig
from trainables.strategies.registry import STRATEGIES
from trainables.synthesis.config import NoSynthesis, SynthesisConfig
from trainables.synthesis.registry import SYNTHESES
from trainables.training.config import (
    OPTIMIZERS,
    SAMPLERS,
    Adam,
    Augmentation,
    OptimizerConfig,
    Protocol,
    SamplerConfig,
    Shuffled,
    Training,
    TrainingSet,
)
from trainables.training.schedule_config import SCHEDULES, Constant, ScheduleConfig

REGISTRIES: dict[str, Registry[Part]] = {
    "dataset": DATASETS,
    "backbone": BACKBONES,
    "loss": LOSSES,
    "synthesis": SYNTHESES,
    "strategy": STRATEGIES,
    "sampler": SAMPLERS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}
"""Sections of a run that hold one registered part each, and what may stand there."""

IDENTITY_VERSION = 1
"""Raised when the training loop itself changes its numbers: every run is then due again."""


class Keep(Config):
    """What of a run stays on disk after its rows are committed."""

    weights: Literal["selected", "none"] = "none"
    embeddings: Literal["test", "none"] = "none"

    def with_kept(self, kept: Collection[Kept]) -> Self:
        """The same, and what other runs need."""
        needed = {"weights": "selected", "embeddings": "test"}
        return self.model_copy(update={key: needed[key] for key in kept})


class RunConfig(Config):
    """Everything that one training depends on. Equal `run_id` means equal numbers."""

    dataset: Annotated[SerializeAsAny[DatasetConfig], part_validator(DATASETS, "dataset")] = Glyphs()
    backbone: Annotated[SerializeAsAny[BackboneConfig], part_validator(BACKBONES, "backbone")] = Conv4()
    embedding_dim: int = Field(64, ge=1)
    """Width D of the embedding, the output of a linear head on the backbone's features."""
    head: Head = added(Head(), legacy=None)
    loss: Annotated[SerializeAsAny[LossConfig], part_validator(LOSSES, "loss")] = NormSoftmax()
    synthesis: Annotated[SerializeAsAny[SynthesisConfig], part_validator(SYNTHESES, "synthesis")] = NoSynthesis()
    strategy: Annotated[SerializeAsAny[StrategyConfig], part_validator(STRATEGIES, "strategy")] = Plain()
    sampler: Annotated[SerializeAsAny[SamplerConfig], part_validator(SAMPLERS, "sampler")] = Shuffled()
    training_set: TrainingSet = added(TrainingSet(), legacy=None)
    augmentation: Augmentation = Augmentation()
    optimizer: Annotated[SerializeAsAny[OptimizerConfig], part_validator(OPTIMIZERS, "optimizer")] = Adam()
    schedule: Annotated[SerializeAsAny[ScheduleConfig], part_validator(SCHEDULES, "schedule")] = Constant()
    training: Training = Training()
    protocol: Protocol = Protocol()
    keep: Keep = hidden(Keep())
    seed: int = Field(0, ge=0)
    fold: int = Field(0, ge=0)
    """Block of training classes that is held out for validation."""
    stage: Literal["tune", "confirm"] = "confirm"
    device: Literal["cpu", "cuda"] = "cpu"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fold >= self.protocol.validation_folds:
            raise ValueError(f"fold {self.fold} does not exist with {self.protocol.validation_folds} validation_folds")
        in_use = (self.loss, self.synthesis) if self.strategy.uses_loss else ()
        for part in (self.dataset, self.sampler, self.strategy, *in_use):
            if refusal := part.refusal(self):
                raise ValueError(refusal)
        if self.training_set.label_noise and self.strategy.uses_loss and self.loss.target != "class":
            raise ValueError(f"training_set.label_noise changes classes, and loss '{self.loss.name}' looks at none")
        self._check_epochs_and_batches()
        return self

    def _check_epochs_and_batches(self) -> None:
        for key in ("warmup_epochs", "lr_warmup_epochs"):
            if getattr(self.training, key) > self.training.epochs:
                raise ValueError(f"training.{key} is larger than training.epochs")
        images, size = getattr(self.sampler, "images_per_class", 1), self.training.batch_size
        if size % images:
            raise ValueError(f"training.batch_size {size} is no multiple of sampler.images_per_class {images}")

    @property
    def precision(self) -> str:
        """Arithmetic of the forward pass on this run's device."""
        return self.training.precision or ("bfloat16" if self.device == "cuda" else "float32")

    def simplified(self) -> "RunConfig":
        """The same run without parameters that cannot matter; two configurations of one run become equal."""
        update: dict[str, Any] = {
            "backbone": self.backbone.simplified(),
            "loss": self.loss.simplified(),
            "synthesis": self.synthesis.simplified(),
            "strategy": self.strategy.simplified(),
            "sampler": self.sampler.simplified(),
            "training_set": self.training_set.simplified(),
            "augmentation": self._simplified_augmentation(),
            "training": at_defaults(self.training, *self._idle_training()),
            "protocol": self.protocol.simplified(),
        }
        if not self.strategy.uses_loss:
            optimizer = at_defaults(self.optimizer, "proxy_lr_multiplier")
            update |= {"loss": NormSoftmax(), "synthesis": NoSynthesis(), "optimizer": optimizer}
        if not self.strategy.trains:
            update["backbone"] = self.backbone.simplified().untrained()
        if self.protocol.selection == "last":
            update["fold"] = 0
        return self.model_copy(update=update)

    def _simplified_augmentation(self) -> Augmentation:
        seen = self.augmentation if self.backbone.trainable else self.augmentation.evaluated()
        return seen.simplified()

    def _idle_training(self) -> list[str]:
        """Fields of `training` that this run's device, or a frozen backbone, leaves without effect."""
        on_cpu = ["deterministic"] if self.device == "cpu" else []
        return on_cpu if self.backbone.trainable else [*on_cpu, "warmup_epochs", "memory_format", "compile"]

    def identity(self, *, inner: Callable[[BaseModel], dict[str, Any]] | None = None) -> dict[str, Any]:
        """What the run's numbers depend on, as canonical values; `inner` as in `parts.identity`."""
        run = self.simplified()
        content = identity(run, inner=inner)
        content["training"] = {**content["training"], "precision": run.precision}
        content["version"] = IDENTITY_VERSION
        if run.strategy.trains:
            return content
        return _derived_identity(run, content) if run.strategy.sources else _untrained_identity(run, content)

    def run_id(self) -> str:
        """Content address: 16 hexadecimal digits of the SHA-256 of the identity."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _derived_identity(run: RunConfig, content: dict[str, Any]) -> dict[str, Any]:
    """A read-out of other runs: their ids say everything but how it is measured."""
    kept = {key: content[key] for key in ("dataset", "strategy", "stage", "device", "version")}
    return {**kept, "distance": run.protocol.distance, "threads": run.training.threads}


def _untrained_identity(run: RunConfig, content: dict[str, Any]) -> dict[str, Any]:
    kept = {key: content[key] for key in ("dataset", "backbone", "strategy", "stage", "device", "version")}
    kept["distance"], kept["test"] = run.protocol.distance, run.protocol.test != "never"
    kept["precision"], kept["threads"] = run.precision, run.training.threads
    if view := {key: value for key, value in content["augmentation"].items() if key in ("crop_size", "test_crop")}:
        kept["augmentation"] = view
    if not run.backbone.weights_revision:
        kept["seed"] = run.seed  # random weights differ by seed, weights from a file do not
    return kept
