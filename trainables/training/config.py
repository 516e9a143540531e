"""Configuration of everything around the loss: batches, augmentation, optimiser, schedule, budget, protocol."""

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainables.parts import Config, Part, added, at_defaults, hidden, registered

Metric = Literal["recall_at_1", "r_precision", "map_at_r", "ndcg_at_10", "label_distance_at_10"]


class SamplerConfig(Part):
    """Which images make a batch."""


class Shuffled(SamplerConfig):
    """Every image once per epoch in random order."""

    name: Literal["shuffled"] = "shuffled"
    drop_last: bool = False
    """Leave out the last, shorter batch."""
    implementation: ClassVar[str] = "trainables.training.samplers:shuffled"


class Balanced(SamplerConfig):
    """Batches of batch_size / images_per_class classes, each with as many distinct images."""

    name: Literal["balanced"] = "balanced"
    images_per_class: int = Field(4, ge=1)
    implementation: ClassVar[str] = "trainables.training.samplers:balanced"


class Dense(SamplerConfig):
    """Batches of one anchor, its nearest images in label and random others, in the order of label distance.

    Dense triplet mining of the log-ratio loss; one anchor per step. Needs a dataset with continuous labels; a batch
    stays within the anchor's group, and is as short as a group that has fewer images.
    """

    name: Literal["dense"] = "dense"
    nearest: int = Field(5, ge=1)
    """Images among the nearest to the anchor, k."""
    pool: int | None = Field(None, ge=1)
    """Rank within which the nearest are drawn, and beyond which all others; k itself where empty. 30 is the pool of
    the binary triplet loss."""
    anchors_per_epoch: int | None = Field(None, ge=1)
    """Steps of an epoch, each with another random anchor; all training images where empty."""
    implementation: ClassVar[str] = "trainables.training.samplers_dense:dense"

    @property
    def smallest_group(self) -> int:
        """Images that a group needs: an anchor, the pool of its nearest, and one other."""
        return (self.pool or self.nearest) + 2

    def simplified(self) -> Self:
        """The same sampler; a pool of no more than the nearest is what an empty one means."""
        return at_defaults(self, "pool") if self.pool == self.nearest else self

    @model_validator(mode="after")
    def _pool_holds_the_nearest(self) -> Self:
        if self.pool is not None and self.pool < self.nearest:
            raise ValueError(f"pool {self.pool} is smaller than nearest {self.nearest}, which are drawn from it")
        return self

    def refusal(self, run: Any) -> str | None:
        if not run.dataset.has_targets:
            return (
                f"sampler 'dense' draws by label distance and dataset '{run.dataset.title}' has classes only; name "
                "number columns of its label file in dataset.target_columns, or use sampler 'balanced' or 'shuffled'"
            )
        if run.training.batch_size < self.nearest + 2:
            return (
                f"sampler 'dense' with nearest {self.nearest} needs training.batch_size of {self.nearest + 2} at "
                f"least (the anchor, the nearest and one other), it is {run.training.batch_size}"
            )
        return None


SAMPLERS = registered(Shuffled, Balanced, Dense, base=SamplerConfig, group="dml_study.samplers")


class TrainingSet(Config):
    """What becomes of the training classes before training: axes of robustness studies. Validation and test stay."""

    label_noise: float = added(0.0, legacy=0.0, ge=0, lt=1)
    """Share of training labels that are replaced by wrong ones, drawn once per seed."""
    label_noise_kind: Literal["symmetric", "pair_flip"] = added("symmetric", legacy="symmetric")
    """symmetric: any other class, each as likely; pair_flip: always the next class."""
    class_fraction: float = added(1.0, legacy=1.0, gt=0, le=1)
    """Share of training classes that are used, drawn once per seed; smaller shares are subsets of larger ones."""

    def simplified(self) -> Self:
        """Without noise its kind does not matter."""
        return self if self.label_noise else at_defaults(self, "label_noise_kind")


class Augmentation(Config):
    """How a network sees images: random crops and flips in training, their middle in evaluation.

    Batched on the run's device. Cached features are made from what evaluation sees, in training too. Without random
    crops (`crop_scale` is [1, 1]) training sees the middle as well.
    """

    crop_scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (1.0, 1.0)
    """Area of the crop as a share of the image, drawn uniformly; (1, 1) does not crop."""
    crop_ratio: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (3 / 4, 4 / 3)
    """Aspect ratio of the crop, drawn log-uniformly."""
    flip: bool = False
    """Mirror every second image, on average."""
    crop_size: int | None = added(None, legacy=None, ge=1)
    """Side in pixels of what the network sees, in training and evaluation; that of the decoded images where empty."""
    test_crop: float = added(1.0, legacy=1.0, gt=0, le=1)
    """Side of the centre square that evaluation sees, as a share of the short side: 0.875 is 224 of 256."""

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

    @property
    def views_whole_images(self) -> bool:
        """Whether evaluation sees decoded images as they are."""
        return self.crop_size is None and self.test_crop == 1.0

    def evaluated(self) -> Self:
        """What of it matters where features are cached: how evaluation sees images."""
        return at_defaults(self, "crop_scale", "crop_ratio", "flip")

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


class RMSprop(OptimizerConfig):
    """Gradients divided by the running root mean square of their history."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: float = Field(0.99, gt=0, lt=1)
    """Share of the old mean square that stays."""
    eps: float = Field(1e-8, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)
    implementation: ClassVar[str] = "torch.optim:RMSprop"

    def arguments(self) -> dict[str, Any]:
        """As of the others; torch has no fused one."""
        return {key: value for key, value in super().arguments().items() if key != "fused"}


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


OPTIMIZERS = registered(Adam, AdamW, SGD, RMSprop, base=OptimizerConfig, group="dml_study.optimizers")


class Training(Config):
    """Budget and numerics of the optimisation."""

    epochs: int = Field(20, ge=1)
    steps_per_epoch: int | None = added(None, legacy=None, ge=1)
    """An epoch is so many steps, and passes over the training images follow each other through epochs; where empty an
    epoch is one pass."""
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
    compile: bool = added(False, legacy=False)
    """Compile the backbone (torch.compile): minutes before the first step, for faster ones of large networks on a GPU.
    Where compiling fails, the network runs as it is."""


_STRONGEST = {"cutout": 1.0, "pixel_dropout": 1.0, "rotation": 180.0, "shear": 80.0}


class Deformation(Config):
    """One deformation of test images, to see what embeddings are robust to (`trainables.evaluation.deformations`)."""

    name: Literal["cutout", "pixel_dropout", "zoom_in", "zoom_out", "rotation", "shear", "noise", "blur"]
    strength: float = Field(ge=0)
    """0 is none. cutout: side of the hole in sides of the image; pixel_dropout: share of pixels; zoom_in, zoom_out: by
    a factor of 1 + strength; rotation, shear: degrees; noise: standard deviation, with 1 from black to white; blur:
    standard deviation in pixels."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        strongest = _STRONGEST.get(self.name, math.inf)
        if self.strength > strongest:
            raise ValueError(f"the strength of {self.name} is at most {strongest:g}, not {self.strength:g}")
        return self

    @property
    def title(self) -> str:
        """Name and strength as metrics carry them: `rotation_15`."""
        return f"{self.name}_{self.strength:g}"


class Protocol(Config):
    """How data is split, how the epoch is selected, what is reported."""

    validation_folds: int = Field(4, ge=2)
    """Training classes are cut into so many blocks; a run holds one of them out for validation."""
    partition: Literal["random", "contiguous"] = "random"
    """How classes fall into blocks: a fixed permutation that depends on the dataset alone, or label order."""
    select_by: Metric = "map_at_r"
    """Validation metric that the epoch is selected by; the last two compare continuous labels."""
    selection: Literal["best_validation", "last"] = "best_validation"
    """Which epoch's weights are reported; `last` trains on all training classes and validates nothing."""
    evaluate_every: int = Field(1, ge=1)
    """Epochs between evaluations; the last epoch is always evaluated."""
    refit: bool = False
    """After selection, train again from scratch on all training classes: the selected epochs of the same schedule."""
    patience: int | None = added(None, legacy=None, ge=1)
    """Evaluations without a better one, after any warm-up of the synthesis, that end the run; no limit where empty."""
    distance: Literal["cosine", "euclidean", "lipschitz"] = "cosine"
    """Of embeddings in retrieval; lipschitz is Euclidean between embeddings brought to a norm of at most 1."""
    ks: tuple[Annotated[int, Field(ge=1)], ...] = hidden((1, 2, 4, 8))
    """k of recall_at_k; 1 is always among them."""
    deformations: tuple[Deformation, ...] = hidden(())
    """Test images are measured under each of these too, at the selected epoch."""
    label_ks: tuple[Annotated[int, Field(ge=1)], ...] = hidden((1, 10))
    """k of label_distance_at_k and ndcg_at_k, where images have continuous labels; 10 is always among them."""
    readout: tuple[Annotated[str, Field(pattern=r"^(mean|concat)(_[1-9][0-9]*)?$")], ...] = hidden(())
    """Rows per cell where it has several folds: `mean` of the fold models' metrics, metrics of their embeddings side by
    side (`concat`). The width may be spelled out, mean_128 and concat_512, and is checked then. `mean` where empty."""
    test: Literal["selected", "every_eval", "never"] = "selected"
    """When test classes are looked at; every_eval is the papers' habit and fills columns of its own."""

    def simplified(self) -> Self:
        """The same protocol; a run that trains on all classes to the end validates and refits nothing."""
        if self.selection != "last":
            return self
        unused = ["validation_folds", "partition", "select_by", "refit", "patience"]
        return at_defaults(self, *unused, *(["evaluate_every"] if self.test != "every_eval" else []))
