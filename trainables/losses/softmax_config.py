"""Configuration of the cross entropies over classes beyond those in `losses.config`."""

import math
from typing import ClassVar, Literal

from pydantic import Field

from trainables.losses.config import LossConfig, ProxyInit
from trainables.parts import at_defaults


class Softmax(LossConfig):
    """Plain softmax: cross entropy of a linear classifier on raw embeddings."""

    name: Literal["softmax"] = "softmax"
    proxy_init: ProxyInit = "kaiming_uniform"
    has_bias: ClassVar[bool] = True
    keeps_length: ClassVar[bool] = True
    is_softmax: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.softmax:softmax"


class ProxyNCAPlusPlus(LossConfig):
    """ProxyNCA++: the function of proxy_nca at scale 1/T; the rest of that paper is a recipe of other settings."""

    name: Literal["proxy_nca_pp"] = "proxy_nca_pp"
    scale: float = Field(9.0, gt=0)
    """Inverse temperature 1/T; the paper's T is 1/9."""
    proxy_init: ProxyInit = "kaiming_uniform"
    is_softmax: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.softmax:proxy_nca_pp"


class SphereFace(LossConfig):
    """SphereFace: the angle to the target is multiplied; the length of the embedding is kept."""

    name: Literal["sphereface"] = "sphereface"
    scale: float = Field(1.0, gt=0)
    """Factor on the logits, beside the embedding's length."""
    margin: int = Field(4, ge=1)
    """Whole factor on the target's angle; 1 is no margin."""
    proxy_init: ProxyInit = "kaiming_uniform"
    keeps_length: ClassVar[bool] = True
    is_softmax: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.margin_softmax:sphereface"


class CosFace(LossConfig):
    """CosFace: a margin taken from the target's cosine."""

    name: Literal["cosface"] = "cosface"
    scale: float = Field(64.0, gt=0)
    """Inverse temperature s."""
    margin: float = Field(0.35, ge=0, le=2)
    """Taken from the target's cosine."""
    proxy_init: ProxyInit = "kaiming_uniform"
    is_softmax: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.margin_softmax:cosface"


class ArcFace(LossConfig):
    """ArcFace: a margin added to the target's angle."""

    name: Literal["arcface"] = "arcface"
    scale: float = Field(64.0, gt=0)
    """Inverse temperature s."""
    margin: float = Field(0.5, ge=0, le=math.pi)
    """Added to the target's angle, in radians."""
    proxy_init: ProxyInit = "kaiming_uniform"
    is_softmax: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.margin_softmax:arcface"


class CurricularFace(LossConfig):
    """CurricularFace: ArcFace whose hard negatives count more as training proceeds."""

    name: Literal["curricularface"] = "curricularface"
    scale: float = Field(64.0, gt=0)
    """Inverse temperature s."""
    margin: float = Field(0.5, ge=0, le=math.pi)
    """Added to the target's angle, in radians."""
    proxy_init: ProxyInit = "small_normal"
    is_softmax: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.margin_softmax:CurricularFace"


class SoftTriple(LossConfig):
    """SoftTriple: normalized softmax with several centers per class, and a regularizer that merges them."""

    name: Literal["soft_triple"] = "soft_triple"
    centers_per_class: int = Field(10, ge=1)
    """Centers K of every class."""
    scale: float = Field(20.0, gt=0)
    """Factor on the class logits; the paper's lambda."""
    gamma: float = Field(0.1, gt=0)
    """Temperature of the assignment to centers; large values take their mean."""
    margin: float = Field(0.01, ge=0, le=2)
    """Taken from the target's similarity; the paper's delta."""
    tau: float = Field(0.2, ge=0)
    """Weight of the regularizer."""
    proxy_init: ProxyInit = "kaiming_uniform"
    is_softmax: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    takes_absent: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.soft_triple:soft_triple"

    @property
    def centers(self) -> int:
        return self.centers_per_class

    def simplified(self) -> "SoftTriple":
        """One center is neither assigned to nor merged with others."""
        return at_defaults(self, "gamma", "tau") if self.centers_per_class == 1 else self
