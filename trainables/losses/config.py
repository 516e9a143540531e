"""Configuration of the base losses. A new loss: one class here, one function in `functional`, one registry line."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from trainables.parts import Part, registered

ProxyInit = Literal["kaiming_uniform", "kaiming_normal", "normal"]


class LossConfig(Part):
    """A loss on embeddings [B, D], labels [B] and, where it has them, proxies [C * K, D].

    The loss calls `implementation(embeddings, labels, proxies, **arguments())`.
    """

    has_proxies: ClassVar[bool] = True
    centers_per_class: ClassVar[int] = 1

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the function: every field but the part's name and the proxies' initialisation."""
        return self.model_dump(exclude={"name", "proxy_init"})


class NormSoftmax(LossConfig):
    """Cross entropy on scaled cosines between embeddings and proxies."""

    name: Literal["norm_softmax"] = "norm_softmax"
    scale: float = Field(23.0, gt=0)
    """Inverse temperature s; the Proxy Synthesis and MemVir code uses 23."""
    proxy_init: ProxyInit = "kaiming_uniform"
    implementation: ClassVar[str] = "trainables.losses.functional:norm_softmax"


class ProxyNCA(LossConfig):
    """Proxy-NCA with the positive in the denominator: the same function as norm_softmax at twice the scale."""

    name: Literal["proxy_nca"] = "proxy_nca"
    scale: float = Field(12.0, gt=0)
    """Factor on the squared distance between unit vectors."""
    proxy_init: ProxyInit = "kaiming_uniform"
    implementation: ClassVar[str] = "trainables.losses.functional:proxy_nca"


class ProxyAnchor(LossConfig):
    """Proxy Anchor: every proxy is an anchor against all samples of the batch."""

    name: Literal["proxy_anchor"] = "proxy_anchor"
    scale: float = Field(32.0, gt=0)
    """Sharpness; the paper's alpha."""
    margin: float = Field(0.1, ge=-1, le=1)
    """Added to negative and taken from positive cosines; the paper's delta."""
    proxy_init: ProxyInit = "kaiming_normal"
    implementation: ClassVar[str] = "trainables.losses.functional:proxy_anchor"


LOSSES: dict[str, type[Part]] = registered(NormSoftmax, ProxyNCA, ProxyAnchor)
