"""Configuration of the losses on label distances: of a batch whose first row is the anchor of all others."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from trainables.losses.config import LossConfig


class DistanceLoss(LossConfig):
    """A loss on the label distances between an anchor and the other rows of its batch. No proxies, no classes."""

    has_proxies: ClassVar[bool] = False
    target: ClassVar[Literal["class", "distance"]] = "distance"

    def refusal(self, run: Any) -> str | None:
        own = f"loss '{self.name}' compares label distances to the anchor of a batch"
        if not run.dataset.has_targets:
            return (
                f"{own} and dataset '{run.dataset.title}' has classes only; name number columns of its label file in "
                "dataset.target_columns, or use a loss on classes"
            )
        if run.sampler.name != "dense":
            return f"{own}, which sampler '{run.sampler.name}' does not draw; set sampler: dense"
        if run.synthesis.name != "none":
            return f"{own}; synthesis '{run.synthesis.name}' needs class labels: leave it out"
        return None


class LogRatio(DistanceLoss):
    """Ratios of embedding distances shall equal ratios of label distances. Made for raw embeddings."""

    name: Literal["log_ratio"] = "log_ratio"
    embedding_power: Literal[1, 2] = 1
    """1: Euclidean distances of embeddings, as in the authors' code; 2: squared ones, as in the paper."""
    min_distance: float = Field(0.0, ge=0)
    """Shorter label distances count as this one; half the step between labels where some coincide."""
    implementation: ClassVar[str] = "trainables.losses.functional:log_ratio"


class DenseTriplet(DistanceLoss):
    """Every pair of rows is a triplet with the anchor: the one nearer in label shall be nearer."""

    name: Literal["dense_triplet"] = "dense_triplet"
    margin: float = Field(0.03, ge=0)
    """In squared distance between unit vectors."""
    implementation: ClassVar[str] = "trainables.losses.functional:dense_triplet"


class NaiveTriplet(DistanceLoss):
    """Binary labels: the nearest rows in label are positives, all others negatives."""

    name: Literal["naive_triplet"] = "naive_triplet"
    positives: int = Field(5, ge=1)
    """Nearest rows of a batch that are positive; as many as sampler.nearest draws."""
    margin: float = Field(0.2, ge=0)
    """In squared distance between unit vectors."""
    implementation: ClassVar[str] = "trainables.losses.functional:naive_triplet"

    def refusal(self, run: Any) -> str | None:
        if reason := super().refusal(run):
            return reason
        if run.sampler.nearest != self.positives:
            return (
                f"loss '{self.name}' takes the {self.positives} nearest rows for positives and sampler.nearest draws "
                f"{run.sampler.nearest}; set both to the same number"
            )
        return None
