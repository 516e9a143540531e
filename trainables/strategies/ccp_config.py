"""Configuration of the strategy `ccp`."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from trainables.parts import at_defaults
from trainables.strategies.config import StrategyConfig

_SYNTHESES = ("none", "xbm")
"""What leaves the embeddings, labels and classes of a step as they are."""


class CCP(StrategyConfig):
    """Chance constraints: a pair loss between samples and proxies that are drawn again whenever training stalls.

    An instance of the problem trains against K proxies per class. When validation (`protocol.select_by`) stops
    improving, the best weights of the instance become the center of a quadratic penalty, training images take the place
    of all proxies, and the next instance goes on with the same optimizer and learning rate. Defaults are those of the
    paper on CUB and Cars (on SOP and In-shop it uses 4 proxies and a pool of 7), and of the released code for patience,
    weights of the losses and the length of an instance, which the supplement of the paper leaves open.

    Source: Gurbuz, Can and Alatan, "Deep Metric Learning with Chance Constraints", WACV 2024, arXiv 2209.09060, and its
    released code.
    """

    name: Literal["ccp"] = "ccp"
    proxies_per_class: int = Field(8, ge=1)
    """K."""
    pool_size: int = Field(12, ge=1)
    """Images per class that proxies are chosen from, b. Smaller than K it counts in multiples of K; 1: no choice."""
    initialization: Literal["k_center", "random_samples", "random"] = "k_center"
    """Where new proxies come from: a pool of images by greedy k-center, K images at random, or random numbers."""
    first_instance: Literal["same", "random"] = "same"
    """Proxies of the first instance: drawn like all later ones, or random numbers."""
    center_space: Literal["raw", "normalized"] = "raw"
    """Where k-center measures distances: raw embeddings, or those brought to a norm of at most 1."""
    pool_augmentation: Literal["training", "none"] = "training"
    """Whether pool images are augmented like training images."""
    proximal_weight: float = Field(2e-4, ge=0)
    """Weight lambda_0 of the penalty 1/2 |weights - anchor|^2 from the second instance on; 1e-5 to 1e-1 work."""
    proximal_decay: float = Field(1.0, gt=0, le=1)
    """The penalty's weight in round r (from 0) is lambda_0 * decay^r."""
    instance: Literal["patience", "fixed"] = "patience"
    """What ends an instance: evaluations without improvement, or a length of `min_epochs`."""
    patience: int = Field(3, ge=1)
    """Evaluations without improvement after which an instance counts as solved."""
    min_epochs: int = Field(1, ge=1)
    """Epochs of an instance before which its evaluations do not count."""
    min_delta: float = Field(1e-5, ge=0)
    """What a metric must gain to count as an improvement."""
    rollback: Literal["none", "best"] = "none"
    """Whether an instance starts from the last weights of the one before, or from its best ones."""
    proxy_weight: float = Field(1.0, gt=0)
    """Weight of the loss between samples and proxies."""
    pair_weight: float = Field(0.1, ge=0)
    """Weight of the loss within the batch."""
    compat: Literal["none", "official"] = "none"
    """`official` repeats two faults of the released code: an instance is judged by the metric of the evaluation before
    (0 at the first), and one of `fixed` length keeps no weights, so that the penalty pulls to zero."""
    implementation: ClassVar[str] = "trainables.strategies.ccp:CCP"

    @property
    def pool_images(self) -> int:
        """Images per class that are drawn to choose proxies from."""
        if self.initialization != "k_center" or self.pool_size == 1:
            return self.proxies_per_class
        return self.pool_size if self.pool_size >= self.proxies_per_class else self.pool_size * self.proxies_per_class

    @property
    def keeps_best(self) -> bool:
        """Whether the best weights of an instance are kept."""
        return self.compat == "none" or self.instance == "patience"

    def simplified(self) -> "CCP":
        update: dict[str, Any] = {"pool_size": self.pool_images}
        if self.initialization == "k_center" and self.pool_size == 1:
            update = {"initialization": "random_samples"}
        simple = self.model_copy(update=update)
        return at_defaults(simple, *simple._idle())

    def _idle(self) -> list[str]:
        """Fields without effect beside the others."""
        idle = [] if self.initialization == "k_center" else ["pool_size", "center_space"]
        if self.initialization == "random":
            idle += ["pool_augmentation", "first_instance"]
        if self.proximal_weight == 0:
            idle.append("proximal_decay")
        if self.instance == "fixed":
            idle.append("patience")
        return idle if self.keeps_best else [*idle, "min_delta", "rollback"]

    def refusal(self, run: Any) -> str | None:
        if not run.loss.is_pairwise:
            return (
                f"strategy 'ccp' compares samples with proxies of its own, and loss '{run.loss.name}' is no pair loss; "
                f"possible losses: {', '.join(_pair_losses())}"
            )
        if run.synthesis.name not in _SYNTHESES:
            return (
                f"strategy 'ccp' draws its own proxies and synthesis '{run.synthesis.name}' changes the batch; "
                f"possible syntheses: {', '.join(_SYNTHESES)}"
            )
        if run.protocol.selection != "best_validation":
            return (
                "strategy 'ccp' ends an instance by validation, and protocol.selection 'last' validates nothing; "
                "possible: protocol.selection: best_validation"
            )
        if run.protocol.refit:
            return (
                "strategy 'ccp' ends an instance by validation, and a refit has no validation classes; possible: "
                "protocol.refit: false"
            )
        return None


def _pair_losses() -> list[str]:
    from trainables.losses.registry import LOSSES

    return sorted(name for name, loss in LOSSES.items() if getattr(loss, "is_pairwise", False))
