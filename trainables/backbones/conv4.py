"""conv4, the small network of the few-shot literature (Vinyals et al. 2016; Snell et al. 2017)."""

from itertools import pairwise

from torch import Tensor, nn

from trainables.backbones.base import Network
from trainables.backbones.config import Conv4

_BLOCKS = 4


class Conv4Body(nn.Module):
    """Four blocks of 3x3 convolution, batch norm, ReLU and 2x2 max pooling.

    Made for 16 pixels and more; of smaller images, a map that is one pixel wide or high is not pooled again.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widths = [channels] + [width] * _BLOCKS
        self.blocks = nn.ModuleList(_block(*pair) for pair in pairwise(widths))
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] to [B, width, H / 16, W / 16], sides rounded down."""
        x = images
        for block in self.blocks:
            x = block(x)
            if min(x.shape[-2:]) > 1:
                x = self.pool(x)
        return x


def _block(inputs: int, outputs: int) -> nn.Sequential:
    # No bias: batch norm takes it out again, and Adam would blow up the rounding errors of its zero gradient.
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def build(config: Conv4, *, channels: int) -> Network:
    """conv4 for images with `channels` channels, scaled from 0..1 to -1..1."""
    body = Conv4Body(channels, config.width)
    return Network(body, feature_dim=config.width, channels=channels, mean=(0.5,), std=(0.5,))
