"""Configuration of the base losses. A new loss: one class, one function or module, one line in `losses.registry`."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from trainables.parts import Part

ProxyInit = Literal[
    "kaiming_uniform",
    "kaiming_uniform_fan_out",
    "kaiming_normal",
    "kaiming_normal_fan_in",
    "normal",
    "small_normal",
]


class LossConfig(Part):
    """What a run minimises, on embeddings [B, D] and labels [B].

    `implementation` names a function, or a module class that is built as `cls(**arguments())` and keeps a state:

    - with proxies: `f(embeddings, labels, proxies [C * K, D], **arguments())`, and `bias`, `excluded`, `real` as below;
    - with pairs: `f(embeddings, labels)` and `f(embeddings, labels, references [R, D], reference_labels [R])`;
    - on label distances: `f(embeddings, distances [B - 1] of rows 1.. to row 0)`.
    """

    has_proxies: ClassVar[bool] = True
    has_bias: ClassVar[bool] = False
    """Whether it learns a bias [C], which it takes as `bias`."""
    keeps_length: ClassVar[bool] = False
    """Whether the length of an embedding counts, and not its direction alone."""
    is_softmax: ClassVar[bool] = False
    """Whether it is a cross entropy over classes; takes `excluded`, bool [B, C], classes that a row does not see."""
    is_pairwise: ClassVar[bool] = False
    """Whether it compares pairs of embeddings, of a batch or with references."""
    stateful: ClassVar[bool] = False
    """Whether it follows the training and takes `real`, the number of rows that are images of the step."""
    target: ClassVar[Literal["class", "distance"]] = "class"
    fuses: ClassVar[bool] = False
    """Whether runs that differ in its float fields can train together (`trainables.fused`): a pure function of tensors,
    without branches on their values, that takes 0-d Tensors for these fields."""
    takes_absent: ClassVar[bool] = False
    """Whether it takes `absent`, bool [C], classes that fill up a batch of fused runs: it looks at all classes at once,
    and `excluded` does not keep these out."""

    @property
    def centers(self) -> int:
        """Proxies of each class, K."""
        return 1

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the function: every field but the part's name and the proxies' initialisation."""
        return self.model_dump(exclude={"name", "proxy_init"})


class NormSoftmax(LossConfig):
    """Cross entropy on scaled cosines between embeddings and proxies."""

    name: Literal["norm_softmax"] = "norm_softmax"
    scale: float = Field(23.0, gt=0)
    """Inverse temperature s; the Proxy Synthesis and MemVir code uses 23."""
    proxy_init: ProxyInit = "kaiming_uniform"
    is_softmax: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.functional:norm_softmax"


class ProxyNCA(LossConfig):
    """Proxy-NCA with the positive in the denominator: the same function as norm_softmax at twice the scale."""

    name: Literal["proxy_nca"] = "proxy_nca"
    scale: float = Field(12.0, gt=0)
    """Factor on the squared distance between unit vectors."""
    proxy_init: ProxyInit = "kaiming_uniform"
    is_softmax: ClassVar[bool] = True
    fuses: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.functional:proxy_nca"


class ProxyAnchor(LossConfig):
    """Proxy Anchor: every proxy is an anchor against all samples of the batch."""

    name: Literal["proxy_anchor"] = "proxy_anchor"
    scale: float = Field(32.0, gt=0)
    """Sharpness; the paper's alpha."""
    margin: float = Field(0.1, ge=-1, le=1)
    """Added to negative and taken from positive cosines; the paper's delta."""
    proxy_init: ProxyInit = "kaiming_normal"
    fuses: ClassVar[bool] = True
    takes_absent: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.losses.functional:proxy_anchor"
