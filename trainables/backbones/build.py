"""A backbone as runs use it: images in 0..1 to pooled features, with its freezing rules built in."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from trainables.backbones.base import Network
from trainables.backbones.config import BackboneConfig, BatchNormPolicy, PoolingName
from trainables.parts import load_implementation
from trainables.randomness import isolated_rng

_SMALLEST = 1e-6
"""What GeM takes smaller activations for: powers need positive ones."""


class Backbone(nn.Module):
    """Images [B, C, H, W] in 0..1 to features [B, F].

    Features are float32 under autocast too (float64 for a network in double precision): pooling does not round.

    `train()` keeps the configured freezing: a backbone that is not trainable stays in evaluation mode as a whole, and
    batch norm does so by its rule. Whoever trains it passes on parameters with `requires_grad` and leaves that flag as
    it is.

    Attributes:
        feature_dim: F.
        gem_power: of GeM pooling; a parameter where it is learned.
    """

    mean: Tensor
    std: Tensor
    gem_power: float | nn.Parameter

    def __init__(self, network: Network, config: BackboneConfig) -> None:
        super().__init__()
        self.body = network.body
        self.feature_dim = network.feature_dim
        self.channels = network.channels
        self.channel_order = network.channel_order
        self.pooling: PoolingName = config.pooling
        learned = config.pooling == "gem" and config.gem_training == "learned"
        self.gem_power = nn.Parameter(torch.tensor(config.gem_power)) if learned else config.gem_power
        self.trainable = config.trainable
        self.batch_norm: BatchNormPolicy = config.batch_norm
        self.register_buffer("mean", torch.tensor(network.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(network.std).view(1, -1, 1, 1), persistent=False)
        self._freeze()
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        feature_map: Tensor = self.body(self.normalized(images))
        return pool(feature_map, self.pooling, power=self.gem_power)

    def normalized(self, images: Tensor) -> Tensor:
        """Images in 0..1 as the body takes them: its number and order of channels, its mean and scale."""
        images = images.expand(-1, self.channels, -1, -1)
        if self.channel_order == "bgr":
            images = images.flip(1)
        return (images - self.mean) / self.std

    def train(self, mode: bool = True) -> Self:
        super().train(mode and self.trainable)
        if self.batch_norm != "train":
            for layer in self._batch_norms():
                layer.eval()
        return self

    def _freeze(self) -> None:
        self.requires_grad_(self.trainable)
        if self.batch_norm == "frozen":
            for layer in self._batch_norms():
                layer.requires_grad_(False)

    def _batch_norms(self) -> list[nn.BatchNorm2d]:
        return [layer for layer in self.modules() if isinstance(layer, nn.BatchNorm2d)]


def pool(feature_map: Tensor, pooling: PoolingName, *, power: float | Tensor = 3.0) -> Tensor:
    """Feature map [B, F, h, w] to [B, F], at least in float32: mean, maximum, or their sum over all positions, or GeM.

    GeM (Radenovic et al., TPAMI 2019, eq. 3) is the power mean (mean of x^p)^(1/p): p = 1 is the mean, and the maximum
    is its limit for large p. Activations below 1e-6 count as 1e-6.
    """
    # mean and amax rather than adaptive pooling, whose gradients have no deterministic algorithm on a GPU.
    exact = feature_map.to(torch.promote_types(feature_map.dtype, torch.float32))
    if pooling == "avg":
        return exact.mean((2, 3))
    if pooling == "max":
        return exact.amax((2, 3))
    if pooling == "gem":
        return exact.clamp(min=_SMALLEST).pow(power).mean((2, 3)).pow(1 / power)
    return exact.mean((2, 3)) + exact.amax((2, 3))


def build_backbone(config: BackboneConfig, *, channels: int, seed: int) -> Backbone:
    """The backbone with its first weights: those of its file, or random ones that depend on the seed alone.

    Args:
        config: with an absolute `weights` path, see `weights.resolve`.
        channels: channels C of the images.

    Raises:
        ConfigError: the architecture does not take images with so many channels.
        DataError: the weights file is missing, is not one for this architecture, or changed since it was planned with.
    """
    with isolated_rng(seed, "backbone"):
        network: Network = load_implementation(config)(config, channels=channels)
    if config.weights is not None:
        from trainables.backbones.loading import load_weights
        from trainables.backbones.weights import check_revision

        check_revision(config)
        load_weights(network.body, Path(config.weights), file_key=network.file_key)
    return Backbone(network, config)
