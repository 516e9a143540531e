"""Configuration of the pair losses: no proxies, embeddings are compared with each other. Free of torch."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainables.losses.config import LossConfig
from trainables.parts import at_defaults

Normalize = Literal["unit", "lipschitz", "none"]
Distance = Literal["euclidean", "cosine"]


class PairLossConfig(LossConfig):
    """A loss on the pairs within a batch, or between a batch and references (a memory, proxies)."""

    has_proxies: ClassVar[bool] = False
    is_pairwise: ClassVar[bool] = True

    normalize: Normalize = "unit"
    """What happens to an embedding v first: v / |v|; `lipschitz` does so only where |v| > 1; `none` leaves v."""
    miner: str = "none"

    @model_validator(mode="after")
    def _on_the_sphere(self) -> Self:
        if self.miner == "distance_weighted" and self.normalize != "unit":
            raise ValueError("miner distance_weighted knows distances on the unit sphere; it needs normalize: unit")
        return self

    def refusal(self, run: Any) -> str | None:
        """Where every batch has one image of each class, pairs of one class must come from somewhere else."""
        one_image = run.sampler.name == "balanced" and run.sampler.images_per_class == 1
        if one_image and run.synthesis.name != "xbm" and run.strategy.name != "ccp":
            return (
                f"loss '{self.name}' pulls images of one class together, and sampler.images_per_class is 1: no batch "
                "has two of a class; set sampler.images_per_class to 2 or more, or take synthesis xbm or strategy ccp, "
                "which compare the batch with other embeddings"
            )
        return None


class Contrastive(PairLossConfig):
    """Positive pairs nearer than one margin, negative pairs further than another."""

    name: Literal["contrastive"] = "contrastive"
    distance: Distance = "euclidean"
    """Of embeddings; `cosine` is 1 - a b."""
    positive_margin: float = Field(0.0, ge=0)
    """Distance up to which a positive pair costs nothing."""
    negative_margin: float = Field(0.5, gt=0)
    """Distance from which a negative pair costs nothing; the XBM and CCP code use 0.5."""
    reduction: Literal["active", "rows"] = "active"
    """`active`: mean over positive plus mean over negative pairs that cost something; `rows`: sum over rows."""
    miner: Literal["none", "multi_similarity", "hard"] = "none"
    implementation: ClassVar[str] = "trainables.losses.pairs:Contrastive"


class Triplet(PairLossConfig):
    """The positive of an anchor nearer than its negative, by a margin."""

    name: Literal["triplet"] = "triplet"
    distance: Distance = "euclidean"
    """Of embeddings; `cosine` is 1 - a b."""
    margin: float = Field(0.2, ge=0)
    """In the distance; FaceNet uses 0.2 of squared Euclidean distance."""
    reduction: Literal["active", "all"] = "active"
    """Mean over the triplets that cost something, or over all."""
    miner: Literal["none", "multi_similarity", "hard", "semi_hard", "distance_weighted"] = "none"
    implementation: ClassVar[str] = "trainables.losses.pairs:Triplet"


class MultiSimilarity(PairLossConfig):
    """Soft maxima over the positive and over the negative cosines of every anchor."""

    name: Literal["multi_similarity"] = "multi_similarity"
    positive_scale: float = Field(2.0, gt=0)
    """Sharpness on positives; the paper's alpha."""
    negative_scale: float = Field(50.0, gt=0)
    """Sharpness on negatives; the paper's beta."""
    threshold: float = Field(0.5, ge=-1, le=1)
    """Cosine that positives shall exceed and negatives fall below; the paper's lambda, 0.5 in its code."""
    miner: Literal["none", "multi_similarity"] = "multi_similarity"
    """`multi_similarity` is the first half of the paper's method; without it all pairs count."""
    epsilon: float = Field(0.1, ge=0)
    """How much easier than the hardest opposite a pair may be and still be mined."""
    implementation: ClassVar[str] = "trainables.losses.pairs:MultiSimilarity"

    def simplified(self) -> "MultiSimilarity":
        return self if self.miner == "multi_similarity" else at_defaults(self, "epsilon")


class Margin(PairLossConfig):
    """Positives inside, negatives outside a boundary, each by a margin; made for distance weighted sampling."""

    name: Literal["margin"] = "margin"
    distance: Distance = "euclidean"
    """Of embeddings; `cosine` is 1 - a b."""
    margin: float = Field(0.2, ge=0)
    """Width of the band on either side of the boundary; the paper's alpha."""
    boundary: float = Field(1.2, gt=0)
    """Distance between near and far; the paper's beta."""
    boundary_learning: Literal["fixed", "learned"] = "fixed"
    """`learned` trains the boundary, one for all classes, at the rate of the proxies."""
    nu: float = Field(0.0, ge=0)
    """Pull of a learned boundary towards 0."""
    miner: Literal["none", "hard", "distance_weighted"] = "distance_weighted"
    implementation: ClassVar[str] = "trainables.losses.pairs:Margin"

    def simplified(self) -> "Margin":
        return self if self.boundary_learning == "learned" else at_defaults(self, "nu")
