"""What the builder of an architecture hands over: the network up to its last feature map, and what it expects."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Network:
    """An architecture without pooling and classifier.

    Attributes:
        body: normalised images [B, channels, H, W] to a feature map [B, feature_dim, h, w].
        feature_dim: channels F of the feature map.
        channels: channels that the body takes; images with one channel are repeated to as many.
        mean: of each channel, subtracted from images in 0..1; one value stands for all channels.
        std: that the difference is divided by.
    """

    body: nn.Module
    feature_dim: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
