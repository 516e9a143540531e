"""Configuration of embedding transfer. Free of torch: planning imports it."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainables.parts import at_defaults, identity
from trainables.strategies.config import Parent, StrategyConfig

_RELAXED = ("sigma", "delta", "distance_normalization", "diagonal")
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "relaxed_contrastive": _RELAXED,
    "relaxed_multi_similarity": (*_RELAXED, "views", "positive_scale", "negative_scale"),
    "rkd": ("distance_weight", "angle_weight"),
    "pkt": (),
}
"""Fields that each loss takes as arguments."""
_NORMALIZATIONS: dict[str, tuple[str, ...]] = {
    "relaxed_contrastive": ("student_normalize",),
    "relaxed_multi_similarity": ("student_normalize",),
    "rkd": ("teacher_normalize", "student_normalize"),
    "pkt": (),
}
"""Normalizations that matter; the other losses look at directions alone."""


class Transfer(StrategyConfig):
    """A student learns the relations among a frozen teacher's embeddings of the same images, and no class labels.

    The run's `loss` and `synthesis` take no part. With the teacher's architecture it is self-transfer, with a smaller
    `embedding_dim` dimension reduction, with a smaller backbone model compression. The published runs used two views.

    Source: Kim et al., "Embedding Transfer with Label Relaxation for Improved Metric Learning", CVPR 2021.
    """

    name: Literal["transfer"] = "transfer"
    teacher: Parent | None = None
    """The finished run that is learned from; only `relabel: hard` does without."""
    loss: Literal["relaxed_contrastive", "relaxed_multi_similarity", "rkd", "pkt"] = "relaxed_contrastive"
    sigma: float = Field(1.0, gt=0)
    """Bandwidth of the relaxed labels, a squared distance between unit vectors of the teacher."""
    delta: float = Field(1.0, gt=0)
    """Margin, in units of the normalized student distance."""
    distance_normalization: Literal["row_mean", "global_mean", "none"] = "row_mean"
    """What student distances are divided by."""
    diagonal: Literal["included", "excluded"] = "included"
    """Whether that mean counts the zeros on the diagonal."""
    relabel: Literal["relaxed", "hard"] = "relaxed"
    """hard: class labels in place of the teacher's relaxed ones, the ablation without a teacher."""
    views: Literal[1, 2] = 1
    """Augmented views of each image in a batch; `training.batch_size` counts images before views."""
    teacher_normalize: Literal["unit", "none"] = "unit"
    """Length of the teacher's embeddings; the relaxed losses and pkt look at their directions alone."""
    student_normalize: Literal["unit", "none"] = "none"
    """Length of the student's embeddings in the loss."""
    positive_scale: float = Field(1.0, gt=0)
    """Sharpness of relaxed_multi_similarity's attraction."""
    negative_scale: float = Field(2.0, gt=0)
    """Sharpness of its repulsion."""
    distance_weight: float = Field(1.0, ge=0)
    """Factor of rkd's distances."""
    angle_weight: float = Field(2.0, ge=0)
    """Factor of rkd's angles."""
    uses_loss: ClassVar[bool] = False
    implementation: ClassVar[str] = "trainables.strategies.transfer:Transfer"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.teacher is None and not self.uses_labels:
            raise ValueError("teacher: needs a method of this study, a run or a file of weights")
        if self.loss == "rkd" and not (self.distance_weight or self.angle_weight):
            raise ValueError("distance_weight and angle_weight are both 0: nothing is left to learn")
        return self

    @property
    def uses_labels(self) -> bool:
        """Whether class labels stand in for the teacher; the losses without relaxed labels have nothing to replace."""
        return self.relabel == "hard" and self.loss.startswith("relaxed")

    @property
    def parent(self) -> Parent | None:
        return None if self.uses_labels else self.teacher

    def refused_parent(self, parent: Any, run: Any) -> str | None:
        return refused_teacher(parent, run)

    def with_parent(self, parent: Parent) -> Self:
        return self.model_copy(update={"teacher": parent})

    @property
    def objective(self) -> str:
        return self.loss

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the loss."""
        return {key: getattr(self, key) for key in _ARGUMENTS[self.loss]}

    def simplified(self) -> Self:
        """The same strategy; what its loss does not take does not matter."""
        relaxed = self.loss.startswith("relaxed")
        used = {"name", "loss", "views", *_ARGUMENTS[self.loss], *_NORMALIZATIONS[self.loss]}
        used |= {"relabel"} if relaxed else set()
        used -= {"diagonal"} if self.distance_normalization == "none" else set()
        used = used - {"sigma"} if self.uses_labels else used | {"teacher"}
        return at_defaults(self, *(key for key in type(self).model_fields if key not in used))

    def refusal(self, run: Any) -> str | None:
        if run.synthesis.name != "none":
            return (
                f"synthesis '{run.synthesis.name}' adds to what a base loss sees, and strategy 'transfer' uses none: "
                "leave synthesis at 'none'"
            )
        return self._refused_views(run) if self.views == 2 else None

    def _refused_views(self, run: Any) -> str | None:
        if not run.backbone.trainable:
            return (
                "strategy.views is 2, and a frozen backbone has one cached feature vector of each image: "
                "set strategy.views to 1 or backbone.trainable to true"
            )
        if not (run.augmentation.crops or run.augmentation.flip):
            return (
                "strategy.views is 2, and without augmentation both views of an image are the same: "
                "set augmentation.crop_scale or augmentation.flip, or strategy.views to 1"
            )
        return None


def refused_teacher(teacher: Any, student: Any) -> str | None:
    """Why one run cannot teach another, and what would be possible; None where it can.

    Args:
        teacher: the `RunConfig` of the run whose weights are kept.
        student: the `RunConfig` that learns from it.
    """
    if not teacher.strategy.trains:
        return f"strategy '{teacher.strategy.name}' of the teacher trains nothing to learn from: take a trained run"
    if student.backbone.trainable or _features(teacher) == _features(student):
        return None
    return (
        f"the student sees cached features of its frozen backbone '{student.backbone.name}', and the teacher needs "
        f"{_needs(teacher)}: set backbone.trainable to true, or take a teacher on the same frozen backbone"
    )


def _needs(teacher: Any) -> str:
    return "images" if teacher.backbone.trainable else f"those of another frozen backbone '{teacher.backbone.name}'"


def _features(run: Any) -> dict[str, Any]:
    """What the features of a frozen backbone depend on, but for the images."""
    backbone = run.backbone.simplified()
    return {**identity(backbone), "seed": None if backbone.weights_revision else run.seed}
