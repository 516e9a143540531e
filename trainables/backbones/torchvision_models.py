"""torchvision's architectures, cut off after their last feature map. Parameter names stay those of torchvision."""

from collections import OrderedDict

from torch import nn

from trainables.backbones.base import Network
from trainables.backbones.config import BackboneConfig
from trainables.errors import ConfigError

_AFTER_THE_MAP = frozenset({"avgpool", "fc", "classifier"})
_CHANNELS = 3
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(config: BackboneConfig, *, channels: int) -> Network:
    """The torchvision model that `config.name` names, with random weights.

    Pooling and classifier are left out, MobileNetV2's dropout with them. Gray images count as color images with three
    equal channels, and all are normalised as for ImageNet, random weights or not.

    Raises:
        ConfigError: images with neither one nor three channels.
    """
    import torchvision  # late: slow to import

    if channels not in (1, _CHANNELS):
        raise ConfigError(f"backbone '{config.name}' takes images with 1 or {_CHANNELS} channels, not with {channels}")
    model = torchvision.models.get_model(config.name, weights=None)
    body = nn.Sequential(OrderedDict(part for part in model.named_children() if part[0] not in _AFTER_THE_MAP))
    return Network(body, _feature_dim(model), _CHANNELS, _IMAGENET_MEAN, _IMAGENET_STD)


def _feature_dim(model: nn.Module) -> int:
    classifier = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    return classifier.in_features
