"""torchvision's architectures, cut off after their last feature map. Parameter names stay those of torchvision."""

from collections import OrderedDict
from typing import Any

from torch import nn

from trainables.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Network, color_channels
from trainables.backbones.config import BackboneConfig, ResNetConfig

_AFTER_THE_MAP = frozenset({"avgpool", "dropout", "fc", "classifier"})
ARGUMENTS: dict[str, dict[str, Any]] = {
    name: {"aux_logits": False, "init_weights": False} for name in ("googlenet", "inception_v3")
}
"""GoogLeNet's own random weights are so small that its features vanish in evaluation mode: torch's defaults."""
OTHER_SCALES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = dict.fromkeys(ARGUMENTS, ((0.5,), (0.5,)))
"""torchvision's own weights of these come from TensorFlow: its models take -1..1, whatever images they are given."""
_CAFFE_MEAN = (103.939 / 255, 116.779 / 255, 123.68 / 255)
"""Of blue, green and red."""


def build(config: BackboneConfig, *, channels: int) -> Network:
    """The torchvision model that `config.name` names, with random weights.

    Pooling and classifier are left out, dropout and auxiliary classifiers with them. Gray images count as color images
    with three equal channels, and all are normalised as for ImageNet (or as in Caffe), random weights or not.

    Raises:
        ConfigError: images with neither one nor three channels.
    """
    import torchvision  # late: slow to import

    channels = color_channels(config, channels)
    model = torchvision.models.get_model(config.name, weights=None, **ARGUMENTS.get(config.name, {}))
    body = nn.Sequential(OrderedDict(part for part in model.named_children() if part[0] not in _AFTER_THE_MAP))
    if isinstance(config, ResNetConfig) and config.preprocessing == "caffe":
        return Network(body, _feature_dim(model), channels, _CAFFE_MEAN, (1 / 255,), channel_order="bgr")
    mean, std = OTHER_SCALES.get(config.name, (IMAGENET_MEAN, IMAGENET_STD))
    return Network(body, _feature_dim(model), channels, mean, std)


def _feature_dim(model: nn.Module) -> int:
    """What the classifier takes, a linear layer or, in SqueezeNet, a convolution."""
    classifier = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    return classifier.in_features if isinstance(classifier, nn.Linear) else classifier.in_channels
