"""Any classification model of torchvision, cut off before its pooling or before its classifier.

Models of other designs have other names for these places. So the model is traced, and the cut is found from the layer
that gives the classes: its input is what the model classifies, and the pooling before it takes the last feature map.
"""

import operator
import re
from typing import Any

import torch
from torch import fx, nn

from trainables.backbones.base import IMAGENET_MEAN, IMAGENET_STD, MapBody, Network, color_channels
from trainables.backbones.config import Torchvision
from trainables.backbones.torchvision_models import ARGUMENTS, OTHER_SCALES
from trainables.errors import ConfigError
from trainables.spelling import nearest

_POOLINGS = frozenset({"mean", "adaptive_avg_pool2d"})
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
"""In published files of DenseNets; torchvision renames such layers, too."""
_SIDE = 224


class _Tracer(fx.Tracer):
    """Keeps buffers by their names; torch's own makes constants of what is computed from them."""

    proxy_buffer_attributes = True


def build(config: Torchvision, *, channels: int) -> Network:
    """The model with random weights; parameter names are torchvision's, after the prefix `model.`.

    Dropout and stochastic depth are off. Images are normalised as for the model's usual weights.

    Raises:
        ConfigError: torchvision has no such classification model, it has no last feature map, or no `image_size`; or
            images with neither one nor three channels.
    """
    channels = color_channels(config, channels)
    model = _create(config)
    whole = set(model.state_dict())
    body = MapBody(_features(model, config), prefix_tokens=1)
    classifier = whole - set(body.model.state_dict())

    def file_key(key: str) -> str | None:
        key = _OLD_DENSENET.sub(r"\1", key)
        return None if key in classifier or key.startswith(_AUXILIARY) else f"model.{key}"

    width = _width(body, channels, config.image_size or _SIDE)
    return Network(body, width, channels, *_scale(config.architecture), file_key=file_key)


def _create(config: Torchvision) -> nn.Module:
    from torchvision import models  # late: slow to import

    known = models.list_models(module=models)
    if config.architecture not in known:
        hint = nearest(config.architecture, known)
        raise ConfigError(f"backbone.architecture: torchvision classifies with no '{config.architecture}'; {hint}")
    size = {} if config.image_size is None else {"image_size": config.image_size}
    try:
        model: nn.Module = models.get_model(
            config.architecture, weights=None, **ARGUMENTS.get(config.architecture, {}), **size
        )
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"backbone: torchvision cannot build '{config.architecture}' with image_size {config.image_size} "
            f"({error}); leave image_size out for a network that is not built for one size"
        ) from error
    return model


def _features(model: nn.Module, config: Torchvision) -> fx.GraphModule:
    """The model up to its last feature map or tokens, or up to the vector that it classifies."""
    _without_chance(model)
    cut = fx.GraphModule(model, _Tracer().trace(model))
    classifier = [node for node in cut.graph.nodes if isinstance(_layer(node, cut), nn.Linear | nn.Conv2d)][-1]
    found = _classified(classifier, cut)
    if config.features == "map" and isinstance(_layer(classifier, cut), nn.Linear):
        found = _before_pooling(found, cut, config.architecture)
    next(node for node in cut.graph.nodes if node.op == "output").args = (found,)
    cut.graph.eliminate_dead_code()
    cut.delete_all_unused_submodules()
    cut.recompile()
    return cut


def _without_chance(model: nn.Module) -> None:
    from torchvision.ops import StochasticDepth

    for layer in model.modules():
        if isinstance(layer, nn.Dropout | StochasticDepth):
            layer.p = 0.0


def _classified(classifier: fx.Node, model: nn.Module) -> fx.Node:
    """What the last linear or convolutional layer takes, dropout aside."""
    node = _inputs(classifier)[0]
    while isinstance(_layer(node, model), nn.Dropout):
        node = _inputs(node)[0]
    return node


def _before_pooling(node: fx.Node, model: nn.Module, architecture: str) -> fx.Node:
    """The map that a vector is pooled from, or the tokens that it is one of."""
    while len(inputs := _inputs(node)) == 1 and not isinstance(_layer(node, model), nn.Conv2d):
        if _pools(node, model) or node.target is operator.getitem:
            return inputs[0]
        node = inputs[0]
    raise ConfigError(f"backbone: torchvision's '{architecture}' has no last feature map; take features 'vector'")


def _inputs(node: fx.Node) -> list[fx.Node]:
    """What a node computes from, its weights aside."""
    return [each for each in node.all_input_nodes if each.op != "get_attr"]


def _pools(node: fx.Node, model: nn.Module) -> bool:
    name = getattr(node.target, "__name__", node.target)
    return isinstance(_layer(node, model), nn.AdaptiveAvgPool2d) or (node.op != "call_module" and name in _POOLINGS)


def _layer(node: fx.Node, model: nn.Module) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _width(body: nn.Module, channels: int, side: int) -> int:
    """Channels of the features, found without computing any."""
    meta = {key: value.to("meta") for key, value in (*body.named_parameters(), *body.named_buffers())}
    with torch.no_grad():
        features = torch.func.functional_call(body, meta, (torch.empty(2, channels, side, side, device="meta"),))
    return int(features.shape[1])


def _scale(architecture: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the model's usual weights."""
    from torchvision import models

    if architecture in OTHER_SCALES:
        return OTHER_SCALES[architecture]
    usual: Any = models.get_model_weights(architecture)
    if not list(usual):
        return IMAGENET_MEAN, IMAGENET_STD
    preset = usual.DEFAULT.transforms()
    return tuple(preset.mean), tuple(preset.std)
