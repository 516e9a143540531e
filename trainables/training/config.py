"""Configuration of everything around the loss: batches, augmentation, optimiser, schedule, budget, protocol."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainables.parts import Config, Part, at_defaults, hidden, registered

Metric = Literal["recall_at_1", "r_precision", "map_at_r"]


class Shuffled(Part):
    """Every image once per epoch in random order."""

    name: Literal["shuffled"] = "shuffled"
    drop_last: bool = False
    """Leave out the last, shorter batch."""
    implementation: ClassVar[str] = "trainables.training.samplers:shuffled"


class Balanced(Part):
    """Batches of batch_size / images_per_class classes, each with as many distinct images."""

    name: Literal["balanced"] = "balanced"
    images_per_class: int = Field(4, ge=1)
    implementation: ClassVar[str] = "trainables.training.samplers:balanced"


SAMPLERS: dict[str, type[Part]] = registered(Shuffled, Balanced)


class Augmentation(Config):
    """Random crop and flip of training images, batched on the run's device. Off for cached features."""

    crop_scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (1.0, 1.0)
    """Area of the crop as a share of the image, drawn uniformly; (1, 1) does not crop."""
    crop_ratio: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (3 / 4, 4 / 3)
    """Aspect ratio of the crop, drawn log-uniformly."""
    flip: bool = False
    """Mirror every second image, on average."""

    @field_validator("crop_scale", "crop_ratio")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"should be [smallest, largest], is {list(value)}")
        return value

    @property
    def crops(self) -> bool:
        """Whether images are cropped at all."""
        return self.crop_scale != (1.0, 1.0)

    def simplified(self) -> Self:
        """The same augmentation; without a crop its aspect ratio does not matter."""
        return self if self.crops else at_defaults(self, "crop_ratio")


class OptimizerConfig(Part):
    """An optimiser on three groups of parameters: backbone, head and proxies. Weight decay reaches all of them."""

    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    proxy_lr_multiplier: float = Field(1.0, ge=0)
    """Learning rate of the proxies, in multiples of lr."""
    head_lr_multiplier: float = Field(1.0, ge=0)
    """Learning rate of the embedding head, in multiples of lr."""

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the class that `implementation` names: every field but the name and the rates.

        torch's optimisers are `fused`: one pass over the weights, on a CPU several times as fast as the loop of passes.
        """
        return {**self.model_dump(exclude={"name", "lr", "proxy_lr_multiplier", "head_lr_multiplier"}), "fused": True}


class Adam(OptimizerConfig):
    """Adam with L2 weight decay added to the gradient."""

    name: Literal["adam"] = "adam"
    eps: float = Field(1e-8, gt=0)
    """Added to the denominator; the Proxy Synthesis and MemVir code uses 0.01."""
    implementation: ClassVar[str] = "torch.optim:Adam"


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    implementation: ClassVar[str] = "torch.optim:AdamW"


class SGD(OptimizerConfig):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: float = Field(1e-2, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    implementation: ClassVar[str] = "torch.optim:SGD"

    @model_validator(mode="after")
    def _has_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


OPTIMIZERS: dict[str, type[Part]] = registered(Adam, AdamW, SGD)


class Constant(Part):
    """The learning rate as it is."""

    name: Literal["constant"] = "constant"
    implementation: ClassVar[str] = "trainables.training.schedules:constant"


class Step(Part):
    """Multiplied by gamma after every `every` epochs, as the Proxy Anchor code does.

    The Proxy Synthesis and MemVir code drops the rate at the start of epoch `every`: after one epoch less.
    """

    name: Literal["step"] = "step"
    every: int = Field(10, ge=1)
    gamma: float = Field(0.5, gt=0, le=1)
    until: int | None = Field(None, ge=1)
    """Last epoch at which the rate drops; no limit where empty."""
    implementation: ClassVar[str] = "trainables.training.schedules:step"


class Cosine(Part):
    """From the full rate to 0 over the run's epochs."""

    name: Literal["cosine"] = "cosine"
    implementation: ClassVar[str] = "trainables.training.schedules:cosine"


SCHEDULES: dict[str, type[Part]] = registered(Constant, Step, Cosine)


class Training(Config):
    """Budget and numerics of the optimisation."""

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(128, ge=2)
    warmup_epochs: int = Field(0, ge=0)
    """First epochs in which only the head and the proxies train; batch norm goes on counting its statistics."""
    lr_warmup_epochs: int = Field(0, ge=0)
    """First epochs over which every learning rate rises linearly, step by step."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of the whole gradient."""
    clip_value: float | None = Field(None, gt=0)
    """Largest absolute value of each gradient entry."""
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    """Arithmetic of the forward pass; where empty bfloat16 on a GPU, float32 on a CPU."""
    threads: int = Field(1, ge=1)
    """CPU threads of a run; other counts give other rounding."""
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"
    """Layout of images and feature maps; channels_last is the faster one for convolutions."""
    deterministic: bool = True
    """Only deterministic algorithms on a GPU."""


class Protocol(Config):
    """How data is split, how the epoch is selected, what is reported."""

    validation_folds: int = Field(4, ge=2)
    """Training classes are cut into so many blocks; a run holds one of them out for validation."""
    partition: Literal["random", "contiguous"] = "random"
    """How classes fall into blocks: a fixed permutation that depends on the dataset alone, or label order."""
    select_by: Metric = "map_at_r"
    """Validation metric that the epoch is selected by."""
    selection: Literal["best_validation", "last"] = "best_validation"
    """Which epoch's weights are reported; `last` trains on all training classes and validates nothing."""
    evaluate_every: int = Field(1, ge=1)
    """Epochs between evaluations; the last epoch is always evaluated."""
    refit: bool = False
    """After selection, train again from scratch on all training classes: the selected epochs of the same schedule."""
    distance: Literal["cosine", "euclidean"] = "cosine"
    ks: tuple[Annotated[int, Field(ge=1)], ...] = hidden((1, 2, 4, 8))
    """k of recall_at_k; 1 is always among them."""
    test: Literal["selected", "every_eval", "never"] = "selected"
    """When test classes are looked at; every_eval is the papers' habit and fills columns of its own."""

    def simplified(self) -> Self:
        """The same protocol; a run that trains on all classes to the end validates and refits nothing."""
        if self.selection != "last":
            return self
        unused = ["validation_folds", "partition", "select_by", "refit"]
        return at_defaults(self, *unused, *(["evaluate_every"] if self.test != "every_eval" else []))
