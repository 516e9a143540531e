"""What the builder of an architecture hands over: the network up to its last feature map, and what it expects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from trainables.backbones.config import BackboneConfig
from trainables.errors import ConfigError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_COLORS = 3


@dataclass(frozen=True)
class Network:
    """An architecture without pooling and classifier.

    Attributes:
        body: normalised images [B, channels, H, W] to a feature map [B, feature_dim, h, w].
        feature_dim: channels F of the feature map.
        channels: channels that the body takes; images with one channel are repeated to as many.
        mean: of each channel, subtracted from images in 0..1; one value stands for all channels.
        std: that the difference is divided by.
        channel_order: of the images that the body takes, and of `mean` and `std`.
        file_key: the body's name for a key of a weights file; None for a key that is left out. The names are the
            same, and classifiers are left out, where there is no such function.
    """

    body: nn.Module
    feature_dim: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: Literal["rgb", "bgr"] = "rgb"
    file_key: Callable[[str], str | None] | None = None


class MapBody(nn.Module):
    """A library's model without classifier, whose features always come as a map.

    Args:
        model: images to a map, tokens or vectors.
        prefix_tokens: of a transformer, those of the class and registers: they come first and are left out.
        channels_last: of maps.
    """

    def __init__(self, model: nn.Module, *, prefix_tokens: int = 0, channels_last: bool = False) -> None:
        super().__init__()
        self.model = model
        self.prefix_tokens = prefix_tokens
        self.channels_last = channels_last

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to [B, F, h, w]; patch tokens have w = 1, vectors h = w = 1."""
        features: Tensor = self.model(images)
        if features.ndim == 2:
            return features[:, :, None, None]
        if features.ndim == 3:
            return features[:, self.prefix_tokens :].transpose(1, 2).unsqueeze(3)
        return features.permute(0, 3, 1, 2) if self.channels_last else features


def color_channels(config: BackboneConfig, channels: int) -> int:
    """The three channels of an architecture for color images, which takes gray ones too.

    Raises:
        ConfigError: images with neither one nor three channels.
    """
    if channels not in (1, _COLORS):
        raise ConfigError(f"backbone '{config.name}' takes images with 1 or {_COLORS} channels, not with {channels}")
    return _COLORS
