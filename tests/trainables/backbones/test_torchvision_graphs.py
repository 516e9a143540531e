"""torchvision's classification models by name: where they are cut, how they see images, files, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from pydantic import ValidationError
from torch import nn

from trainables.backbones.build import Backbone, build_backbone
from trainables.backbones.config import Torchvision
from trainables.backbones.weights import resolve
from trainables.errors import ConfigError, DataError


def built(architecture: str, **settings: Any) -> Backbone:
    return build_backbone(Torchvision(architecture=architecture, **settings), channels=3, seed=0).eval()


def original(backbone: Backbone, architecture: str, **arguments: Any) -> nn.Module:
    """torchvision's own model with the backbone's weights."""
    model: nn.Module = torchvision.models.get_model(architecture, weights=None, **arguments).eval()
    missing, unexpected = model.load_state_dict(backbone.body.model.state_dict(), strict=False)  # type: ignore[union-attr, operator]
    assert not unexpected
    assert {key.split(".")[0] for key in missing} <= {"fc", "classifier", "head", "heads"}
    return model


MAPS: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "shufflenet_v2_x0_5": lambda model, x: _children(model, x, "fc"),
    "squeezenet1_1": lambda model, x: model.features(x),
    "mobilenet_v3_small": lambda model, x: model.features(x),
    "densenet121": lambda model, x: model.features(x).relu(),
}


def _children(model: nn.Module, x: torch.Tensor, last: str) -> torch.Tensor:
    for name, layer in model.named_children():
        x = x if name == last else layer(x)
    return x


@pytest.mark.parametrize("architecture", MAPS)
def test_maps_are_those_before_pooling(architecture: str) -> None:
    backbone = built(architecture, pooling="avg+max")
    model, images = original(backbone, architecture), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = MAPS[architecture](model, backbone.normalized(images))
        torch.testing.assert_close(backbone(images), expected.mean((2, 3)) + expected.amax((2, 3)))
        assert expected.shape[1] == backbone.feature_dim


@pytest.mark.parametrize(("architecture", "width"), [("mobilenet_v3_small", 1024), ("regnet_x_400mf", 400)])
def test_vectors_are_what_the_last_layer_classifies(architecture: str, width: int) -> None:
    backbone = built(architecture, features="vector")
    model, images = original(backbone, architecture), torch.rand(2, 3, 64, 64)
    given: list[torch.Tensor] = []
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda layer, arguments: given.append(arguments[0]))
    with torch.no_grad():
        model(backbone.normalized(images))
        torch.testing.assert_close(backbone(images), given[0])
    assert backbone.feature_dim == width


def test_a_transformer_gives_patches_or_its_class_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(name: str, **arguments: Any) -> nn.Module:
        return torchvision.models.VisionTransformer(
            patch_size=16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, image_size=arguments["image_size"]
        )

    monkeypatch.setattr(torchvision.models, "get_model", small)
    patches, token = (built("vit_b_16", image_size=32, features=features) for features in ("map", "vector"))
    model, images = original(token, "vit_b_16", image_size=32), torch.rand(2, 3, 32, 32)
    tokens: list[torch.Tensor] = []
    model.encoder.register_forward_hook(lambda layer, given, result: tokens.append(result))  # type: ignore[operator, union-attr]
    with torch.no_grad():
        model(token.normalized(images))
        torch.testing.assert_close(token(images), tokens[0][:, 0])
        torch.testing.assert_close(patches(images), tokens[0][:, 1:].mean(1))
    assert patches.feature_dim == token.feature_dim == 8


def test_nothing_is_left_to_chance_in_training() -> None:
    backbone, images = built("efficientnet_b0", batch_norm="frozen").train(), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(backbone(images), backbone(images))


def test_images_are_normalized_as_for_the_usual_weights() -> None:
    from trainables.backbones.torchvision_graphs import _scale

    assert _scale("convnext_tiny") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert _scale("vgg16") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert _scale("efficientnet_v2_l") == ((0.5,) * 3, (0.5,) * 3)
    assert _scale("inception_v3") == ((0.5,), (0.5,)), "its model rescales images that are normalised for ImageNet"


def test_a_file_of_torchvision_loads_without_its_classifier(tmp_path: Path) -> None:
    content = torchvision.models.get_model("mnasnet0_5", weights=None).state_dict()
    torch.save(content, tmp_path / "net.pth")
    config = resolve(Torchvision(architecture="mnasnet0_5", weights="net.pth"), search=[tmp_path], cache=tmp_path)
    found = build_backbone(config, channels=3, seed=0).body.state_dict()
    assert found
    assert all(torch.equal(value, content[key.removeprefix("model.")]) for key, value in found.items())
    with pytest.raises(DataError, match=r"keys missing: model\.conv1"):
        built("shufflenet_v2_x0_5", weights=str(tmp_path / "net.pth"))


def test_old_names_of_densenet_layers_are_read() -> None:
    from trainables.backbones.torchvision_graphs import build

    file_key = build(Torchvision(architecture="squeezenet1_1"), channels=3).file_key
    assert file_key is not None
    layer = "features.denseblock1.denselayer2"
    assert file_key(f"{layer}.norm.1.weight") == f"model.{layer}.norm1.weight"
    assert file_key(f"{layer}.conv2.weight") == f"model.{layer}.conv2.weight"
    assert file_key("classifier.1.weight") is None


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'get_model\("convnext_tiny", weights="DEFAULT"\)'):
        resolve(Torchvision(architecture="convnext_tiny", weights="net.pth"), search=[tmp_path], cache=tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "resnet20"}, r"classifies with no 'resnet20'; did you mean 'resnet\d+'"),
        ({"architecture": "fasterrcnn_resnet50_fpn"}, "classifies with no 'fasterrcnn_resnet50_fpn'"),
        ({"architecture": "squeezenet1_1", "image_size": 32}, "image_size 32 .*leave image_size out"),
    ],
)
def test_what_torchvision_does_not_have_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(**settings)


def test_a_model_without_a_map_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4), nn.ReLU(), nn.Linear(4, 2))
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, **arguments: flat)
    with pytest.raises(ConfigError, match="'alexnet' has no last feature map; take features 'vector'"):
        built("alexnet", image_size=16)
    assert built("alexnet", image_size=16, features="vector").feature_dim == 4


def test_a_name_is_a_word() -> None:
    with pytest.raises(ValidationError, match="architecture"):
        Torchvision(architecture="a/b")
