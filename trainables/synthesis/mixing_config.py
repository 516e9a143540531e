"""Configuration of the regularisers that papers on synthetic classes compare with."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from trainables.synthesis.config import SynthesisConfig


class Mixup(SynthesisConfig):
    """What both mixups share: a weight per step, one permutation of the batch, and two losses, one per label."""

    mixup_alpha: float = Field(0.4, gt=0)
    """Both parameters of the Beta distribution that the mixing weight of a step is drawn from."""

    def refusal(self, run: Any) -> str | None:
        if run.strategy.uses_loss and run.loss.target != "class":
            return (
                f"synthesis '{self.name}' weighs the losses of two class labels, and loss '{run.loss.name}' compares "
                "label distances, which have no second label; take a loss on classes, or synthesis none"
            )
        return super().refusal(run)


class InputMixup(Mixup):
    """Input mixup (ICLR 2018): pairs of images are mixed, and the losses of both labels with them."""

    name: Literal["input_mixup"] = "input_mixup"
    implementation: ClassVar[str] = "trainables.synthesis.mixup:InputMixup"

    def refusal(self, run: Any) -> str | None:
        if run.strategy.trains and run.strategy.uses_loss and not run.backbone.trainable:
            return (
                f"synthesis '{self.name}' mixes images, and backbone.trainable: false computes their features once and "
                "shows the training no image; take synthesis manifold_mixup, which mixes those features, or "
                "backbone.trainable: true"
            )
        return super().refusal(run)


class ManifoldMixup(Mixup):
    """Manifold mixup (ICML 2019): as input mixup, on the output of one layer of the network, another one every step."""

    name: Literal["manifold_mixup"] = "manifold_mixup"
    implementation: ClassVar[str] = "trainables.synthesis.mixup:ManifoldMixup"

    def refusal(self, run: Any) -> str | None:
        if run.training.compile:
            return (
                "synthesis 'manifold_mixup' mixes between the layers of the network, and training.compile makes one "
                "piece of them; leave training.compile out, or take synthesis input_mixup"
            )
        return super().refusal(run)


class VirtualSoftmax(SynthesisConfig):
    """Virtual softmax (NeurIPS 2018): each row gets one more class to be told from, in its own direction."""

    name: Literal["virtual_softmax"] = "virtual_softmax"
    needs_proxies: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.synthesis.virtual_softmax:VirtualSoftmax"

    def refusal(self, run: Any) -> str | None:
        if run.strategy.uses_loss and not run.loss.is_softmax:
            return (
                f"synthesis '{self.name}' adds a class to every row of a softmax, and loss '{run.loss.name}' is none; "
                f"possible with {', '.join(_softmax_losses())}"
            )
        return super().refusal(run)


def _softmax_losses() -> list[str]:
    from trainables.losses.registry import LOSSES  # late: plugins may still add to it

    return sorted(name for name, loss in LOSSES.items() if getattr(loss, "is_softmax", False))
