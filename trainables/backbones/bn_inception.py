"""bn_inception, the backbone of the field's papers: Inception with batch norm (Ioffe and Szegedy, ICML 2015, fig. 5).

Widths and paddings are those of the Caffe model whose weights the papers start from, keys of its weights file those of
its PyTorch port: `inception_3a_double_3x3_1_bn.weight` there is `inception_3a.double_3x3_1.bn.weight` here.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.backbones.base import Network, color_channels
from trainables.backbones.config import BNInception

FEATURE_DIM = 1024
_FILE_KEY = re.compile(r"(?:(inception_\d\w)_)?(\w+?)(_bn)?\.(\w+)")
_CLASSIFIER = ("last_linear.", "fc.", "classifier.")


@dataclass(frozen=True)
class Widths:
    """Channels of one block: the 1x1 branch, the 3x3 branch, the double 3x3 branch, and the pooled one.

    Attributes:
        single: of the 1x1 branch; none in a block that halves the map.
        triple: of the 1x1 convolution before the 3x3 one, and of the latter.
        double: of the 1x1 convolution before the two 3x3 ones, and of each of these.
        pooled: of the 1x1 convolution after pooling; 0 passes the pooled input on, in a block that halves the map.
        pooling: of the pooled branch.
    """

    single: int
    triple: tuple[int, int]
    double: tuple[int, int]
    pooled: int
    pooling: Literal["avg", "max"] = "avg"

    @property
    def stride(self) -> int:
        return 1 if self.pooled else 2


BLOCKS = {
    "inception_3a": Widths(64, (64, 64), (64, 96), 32),
    "inception_3b": Widths(64, (64, 96), (64, 96), 64),
    "inception_3c": Widths(0, (128, 160), (64, 96), 0, "max"),
    "inception_4a": Widths(224, (64, 96), (96, 128), 128),
    "inception_4b": Widths(192, (96, 128), (96, 128), 128),
    "inception_4c": Widths(160, (128, 160), (128, 160), 128),
    "inception_4d": Widths(96, (128, 192), (160, 192), 128),
    "inception_4e": Widths(0, (128, 192), (192, 256), 0, "max"),
    "inception_5a": Widths(352, (192, 320), (160, 224), 128),
    "inception_5b": Widths(352, (192, 320), (192, 224), 128, "max"),
}


class Convolution(nn.Sequential):
    """Convolution, batch norm, ReLU. The convolution has a bias that batch norm takes out again: the file has one."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        layers = {"conv": conv, "bn": nn.BatchNorm2d(outputs, eps=1e-5), "relu": nn.ReLU(inplace=True)}
        super().__init__(OrderedDict(layers))


class Inception(nn.Module):
    """One block: its branches side by side, their channels one after the other."""

    def __init__(self, inputs: int, widths: Widths) -> None:
        super().__init__()
        stride, (before, wide), (reduced, twice) = widths.stride, widths.triple, widths.double
        self.pooling, self.stride = widths.pooling, stride
        if widths.single:
            self.add_module("1x1", Convolution(inputs, widths.single, 1))
        self.add_module("3x3_reduce", Convolution(inputs, before, 1))
        self.add_module("3x3", Convolution(before, wide, 3, stride=stride))
        self.double_3x3_reduce = Convolution(inputs, reduced, 1)
        self.double_3x3_1 = Convolution(reduced, twice, 3)
        self.double_3x3_2 = Convolution(twice, twice, 3, stride=stride)
        self.pool_proj = Convolution(inputs, widths.pooled, 1) if widths.pooled else nn.Identity()
        self.outputs = widths.single + wide + twice + (widths.pooled or inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature map [B, inputs, h, w] to [B, outputs, h / stride, w / stride], sides rounded up."""
        layers = dict(self.named_children())
        single = [layers["1x1"](x)] if "1x1" in layers else []
        triple = layers["3x3"](layers["3x3_reduce"](x))
        double = self.double_3x3_2(self.double_3x3_1(self.double_3x3_reduce(x)))
        return torch.cat([*single, triple, double, self.pool_proj(self._pooled(x))], 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pooling == "avg":
            return functional.avg_pool2d(x, 3, stride=1, padding=1)
        if self.stride == 1:
            return functional.max_pool2d(x, 3, stride=1, padding=1)
        # Even sides as in Caffe. Odd ones, which fit no branch there, get the margin that the convolutions have.
        padding = (x.shape[2] % 2, x.shape[3] % 2)
        return functional.max_pool2d(x, 3, stride=2, padding=padding, ceil_mode=True)


def build(config: BNInception, *, channels: int) -> Network:
    """bn_inception with random weights: torch's of every layer.

    Images in 0..1 become BGR in 0..255 less `config.mean`, which is (x - mean / 255) / (1 / 255). Gray ones count as
    color images with three equal channels.

    Raises:
        ConfigError: images with neither one nor three channels.
    """
    channels = color_channels(config, channels)
    body = _body(channels)
    for layer in body.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = config.momentum
    mean = tuple(value / 255 for value in config.mean)
    return Network(body, FEATURE_DIM, channels, mean, (1 / 255,), channel_order="bgr", file_key=file_key)


def _body(channels: int) -> nn.Sequential:
    layers: dict[str, nn.Module] = {
        "conv1_7x7_s2": Convolution(channels, 64, 7, stride=2),
        "pool1_3x3_s2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        "conv2_3x3_reduce": Convolution(64, 64, 1),
        "conv2_3x3": Convolution(64, 192, 3),
        "pool2_3x3_s2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
    }
    width = 192
    for name, widths in BLOCKS.items():
        block = Inception(width, widths)
        layers[name], width = block, block.outputs
    return nn.Sequential(OrderedDict(layers))


def file_key(key: str) -> str | None:
    """The body's name for a key of the PyTorch port's weights file; None for its classifier. Own names stay."""
    if key.startswith(_CLASSIFIER):
        return None
    found = _FILE_KEY.fullmatch(key)
    if found is None:
        return key
    block, layer, norm, value = found.groups()
    return ".".join([*([block] if block else []), layer, "bn" if norm else "conv", value])
