"""torchvision's architectures, cut off after their last feature map. Parameter names stay those of torchvision."""

from collections import OrderedDict
from typing import Any

from torch import nn

from trainables.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Network, color_channels
from trainables.backbones.config import BackboneConfig

_AFTER_THE_MAP = frozenset({"avgpool", "dropout", "fc", "classifier"})
_ARGUMENTS: dict[str, dict[str, Any]] = {"googlenet": {"aux_logits": False, "init_weights": False}}
"""GoogLeNet's own random weights are so small that its features vanish in evaluation mode: torch's defaults."""
_OTHER_SCALES = {"googlenet": ((0.5,), (0.5,))}
"""torchvision's own weights of GoogLeNet come from TensorFlow: its model takes -1..1, whatever images it is given."""


def build(config: BackboneConfig, *, channels: int) -> Network:
    """The torchvision model that `config.name` names, with random weights.

    Pooling and classifier are left out, dropout and auxiliary classifiers with them. Gray images count as color images
    with three equal channels, and all are normalised as for ImageNet, random weights or not.

    Raises:
        ConfigError: images with neither one nor three channels.
    """
    import torchvision  # late: slow to import

    channels = color_channels(config, channels)
    model = torchvision.models.get_model(config.name, weights=None, **_ARGUMENTS.get(config.name, {}))
    body = nn.Sequential(OrderedDict(part for part in model.named_children() if part[0] not in _AFTER_THE_MAP))
    mean, std = _OTHER_SCALES.get(config.name, (IMAGENET_MEAN, IMAGENET_STD))
    return Network(body, _feature_dim(model), channels, mean, std)


def _feature_dim(model: nn.Module) -> int:
    """What the classifier takes, a linear layer or, in SqueezeNet, a convolution."""
    classifier = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    return classifier.in_features if isinstance(classifier, nn.Linear) else classifier.in_channels
