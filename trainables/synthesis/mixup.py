"""Input mixup and manifold mixup as parts of a training run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.devices import sent
from trainables.losses.module import BaseLoss
from trainables.step import Step
from trainables.synthesis import mixing_config as configs
from trainables.synthesis.base import Space, Synthesis

__all__ = ["InputMixup", "ManifoldMixup", "Mixture", "stages"]


@dataclass(frozen=True)
class Mixture:
    """How the rows of a step are mixed: row i with row `partners[i]`.

    Attributes:
        weight: of the row itself, lambda; the partner has the rest.
        partners: [B], a permutation, on the CPU.
    """

    weight: float
    partners: Tensor

    @classmethod
    def drawn(cls, step: Step, rows: int, *, alpha: float) -> "Mixture":
        """lambda ~ Beta(alpha, alpha) and a uniform permutation, as a function of the step."""
        weight = float(step.numpy_generator("mixup").beta(alpha, alpha))
        return cls(weight, torch.randperm(rows, generator=step.generator("mixup")))

    def of(self, values: Tensor) -> Tensor:
        """`lambda * values + (1 - lambda) * values[partners]` for values [B, ...]."""
        return self.weight * values + (1 - self.weight) * self.partners_of(values)

    def partners_of(self, values: Tensor) -> Tensor:
        """`values[partners]`."""
        return values.index_select(0, sent(self.partners, values.device))


class InputMixup(Synthesis):
    """Mixes images with each other, and the losses of their labels (Zhang et al., "mixup", ICLR 2018).

    With lambda ~ Beta(alpha, alpha), once per step, and a permutation of the batch: the network sees
    `lambda * image_i + (1 - lambda) * image_partner(i)`, and the loss is
    `lambda * l(z, y) + (1 - lambda) * l(z, y[partner])`, which for cross entropies is that of the mixed one-hot labels.

    Any loss on class labels will do. A pair loss is computed twice too: once every mixture belongs to the class of its
    first image, once to that of its second; no pair is between a first and a second one. A loss that follows the
    training (curricularface) does so in the first term only, so that a step counts once.
    """

    config: configs.Mixup

    def __init__(self, config: configs.Mixup, space: Space) -> None:
        super().__init__(config, space)

    def mixture(self, step: Step, rows: int) -> Mixture:
        """The same for all hooks of a step."""
        return Mixture.drawn(step, rows, alpha=self.config.mixup_alpha)

    def embed(self, model: nn.Module, inputs: Tensor, step: Step) -> Tensor:
        """Embeddings [B, D] of the mixed inputs."""
        embeddings: Tensor = model(self.mixture(step, len(inputs)).of(inputs))
        return embeddings

    def loss(self, base: BaseLoss, batch: Batch, step: Step) -> Tensor:
        """The losses of both labels, weighted.

        Raises:
            ValueError: labels that are not one class per row.
        """
        labels = batch.labels
        if labels.shape != batch.embeddings.shape[:1] or labels.is_floating_point():
            raise ValueError(f"mixup needs one class label per row, not {labels.dtype} {list(labels.shape)}")
        mixture = self.mixture(step, len(labels))
        first: Tensor = base(batch)
        with _unchanged(base):
            second: Tensor = base(replace(batch, labels=mixture.partners_of(labels)))
        return mixture.weight * first + (1 - mixture.weight) * second


@contextmanager
def _unchanged(base: BaseLoss) -> Iterator[None]:
    """A loss that follows the training only looks, in evaluation mode."""
    training = base.training
    base.train(training and not base.config.stateful)
    try:
        yield
    finally:
        base.train(training)


class ManifoldMixup(InputMixup):
    """Mixes the output of one layer instead of the images (Verma et al., "Manifold Mixup", ICML 2019).

    The layer is drawn uniformly in every step among those of `stages`, the images themselves included. Weight,
    permutation and loss are those of `InputMixup`, with the same numbers at one seed.
    """

    def embed(self, model: nn.Module, inputs: Tensor, step: Step) -> Tensor:
        """Embeddings [B, D] through a network that mixes the output of the step's layer.

        Raises:
            ValueError: the layer is not called exactly once.
        """
        layer = self.layer(model, step)
        if layer is None:
            return super().embed(model, inputs, step)
        with _mixed(layer, self.mixture(step, len(inputs))):
            embeddings: Tensor = model(inputs)
        return embeddings

    def layer(self, model: nn.Module, step: Step) -> nn.Module | None:
        """The layer whose output is mixed in a step; None: the images, or cached features, are."""
        choices = stages(model)
        return choices[int(torch.randint(len(choices), (), generator=step.generator("mixup_layer")))]


@contextmanager
def _mixed(layer: nn.Module, mixture: Mixture) -> Iterator[None]:
    """Mixes what a layer gives in the one pass inside."""
    outputs = 0

    def mix(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
        nonlocal outputs
        outputs += 1
        return mixture.of(output)

    handle = layer.register_forward_hook(mix)
    try:
        yield
    finally:
        handle.remove()
    if outputs != 1:
        name = type(layer).__name__
        raise ValueError(f"manifold mixup: layer {name} was called {outputs} times in one pass, not once")


def stages(model: nn.Module) -> list[nn.Module | None]:
    """Where manifold mixup may mix: None for the input, the blocks of the backbone, and the backbone (its features).

    Blocks are the children of the backbone's body that have children and parameters themselves: the four of conv4,
    layer1 to layer4 of a ResNet, all of MobileNetV2. Behind a single convolution mixing would be that of the input,
    since it is affine; but a body of nothing else is taken layer by layer.
    """
    backbone = getattr(model, "backbone", None)
    return [None] if backbone is None else [None, *_blocks(backbone.body), backbone]


def _blocks(body: nn.Module) -> list[nn.Module]:
    parts = [part for child in body.children() for part in (child if isinstance(child, nn.ModuleList) else [child])]
    weighted = [part for part in parts if next(part.parameters(), None) is not None]
    blocks = [part for part in weighted if next(part.children(), None) is not None] or weighted
    nested = len(blocks) == 1 and next(blocks[0].children(), None) is not None
    return _blocks(blocks[0]) if nested else blocks
