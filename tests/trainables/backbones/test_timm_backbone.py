"""timm's architectures: maps, tokens and vectors, files, and what is said where timm is not installed."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainables.backbones.base import MapBody
from trainables.backbones.build import Backbone, build_backbone
from trainables.backbones.config import Timm, ViTSmall
from trainables.backbones.weights import resolve
from trainables.errors import ConfigError, DataError


def built(architecture: str, **settings: Any) -> Backbone:
    pytest.importorskip("timm")
    return build_backbone(Timm(architecture=architecture, **settings), channels=3, seed=0).eval()


class Giving(torch.nn.Module):
    """A model that gives what it is told to."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        return self.features


def test_vectors_tokens_and_maps_become_maps() -> None:
    images = torch.zeros(2, 3, 8, 8)
    vectors, tokens, last = torch.rand(2, 5), torch.rand(2, 6, 5), torch.rand(2, 3, 4, 5)
    assert torch.equal(MapBody(Giving(vectors))(images)[:, :, 0, 0], vectors)
    assert torch.equal(MapBody(Giving(tokens), prefix_tokens=2)(images)[..., 0], tokens[:, 2:].transpose(1, 2))
    assert torch.equal(MapBody(Giving(last))(images), last)
    assert torch.equal(MapBody(Giving(last), channels_last=True)(images), last.permute(0, 3, 1, 2))


def test_a_convolutional_network_as_timm_pools_it() -> None:
    images = torch.rand(2, 3, 64, 64)
    backbone = built("test_resnet")
    mean, std = backbone.mean, backbone.std
    assert mean.flatten().tolist() == [0.5, 0.5, 0.5]
    vector = built("test_resnet", features="vector")
    torch.testing.assert_close(backbone(images), vector(images))
    torch.testing.assert_close(vector(images), vector.body.model((images - mean) / std))


def test_a_transformer_gives_patches_or_its_class_token() -> None:
    images = torch.rand(2, 3, 32, 32)
    patches, token = built("test_vit", image_size=32), built("test_vit", image_size=32, features="vector")
    tokens = patches.body.model(patches.normalized(images))
    assert tokens.shape[1] == 1 + (32 // 16) ** 2
    torch.testing.assert_close(patches(images), tokens[:, 1:].mean(1))
    torch.testing.assert_close(token(images), tokens[:, 0])


def test_images_are_normalized_as_timm_notes_it_for_the_architecture() -> None:
    half, imagenet = ([0.5] * 3, [0.5] * 3), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for architecture, (mean, std) in {
        "test_vit": half,
        "mobilenetv3_small_050": imagenet,
        "tf_mobilenetv3_small_minimal_100": half,
    }.items():
        backbone = built(architecture)
        torch.testing.assert_close(backbone.mean.flatten(), torch.tensor(mean))
        torch.testing.assert_close(backbone.std.flatten(), torch.tensor(std))


def test_vit_small_is_timm_s_with_its_class_token() -> None:
    pytest.importorskip("timm")
    backbone = build_backbone(ViTSmall(image_size=32), channels=3, seed=0).eval()
    images = torch.rand(2, 3, 32, 32)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 21_665_664 - (196 - 4) * 384
    with torch.no_grad():
        features = backbone(images)
        tokens = backbone.body.model.forward_features((images - 0.5) / 0.5)
        torch.testing.assert_close(features, tokens[:, 0])
    assert features.shape == (2, 384)


def test_widths_are_those_of_the_features() -> None:
    for architecture in ("test_convnext", "test_mambaout", "mobilenetv3_small_050"):
        backbone = built(architecture)
        with torch.no_grad():
            assert backbone(torch.rand(1, 3, 64, 64)).shape == (1, backbone.feature_dim)


def test_a_file_of_timm_loads_without_its_classifier(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    original = timm.create_model("test_convnext", pretrained=False)
    torch.save(original.state_dict(), tmp_path / "net.pth")
    config = resolve(Timm(architecture="test_convnext", weights="net.pth"), search=[tmp_path], cache=tmp_path)
    backbone = build_backbone(config, channels=3, seed=0)
    expected = original.state_dict()
    found = backbone.body.state_dict()
    assert found
    assert all(torch.equal(value, expected[key.removeprefix("model.")]) for key, value in found.items())
    wrong = Timm(architecture="test_resnet", weights=str(tmp_path / "net.pth"))
    with pytest.raises(DataError, match=r"keys missing: model\.bn1\.bias"):
        build_backbone(wrong, channels=3, seed=0)


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        resolve(Timm(architecture="resnet50d", weights="net.pth"), search=[tmp_path], cache=tmp_path)
    assert 'torch.save(timm.create_model("resnet50d", pretrained=True).state_dict(), "net.pth")' in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "resnet5d"}, r"timm has no 'resnet5d'; did you mean 'resnet\d+d'"),
        ({"architecture": "resnet18.nonsense"}, "timm cannot build 'resnet18.nonsense'.*nonsense"),
        ({"architecture": "test_resnet", "image_size": 32}, "image_size 32 .*leave image_size out"),
        ({"architecture": "deit_tiny_distilled_patch16_224"}, "take features 'vector'"),
    ],
)
def test_what_timm_cannot_build_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(**settings)


def test_other_channel_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="'timm' takes images with 1 or 3 channels, not with 4"):
        build_backbone(Timm(architecture="test_resnet"), channels=4, seed=0)


def test_without_timm_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # importing it fails as where it is not installed
    with pytest.raises(ConfigError, match=r'needs the package timm .*pip install "dml-study\[timm\]"'):
        build_backbone(Timm(architecture="resnet50d"), channels=3, seed=0)


@pytest.mark.parametrize("architecture", ["hf-hub:someone/net", "local-dir:/tmp/x", ""])
def test_nothing_is_fetched_by_its_name(architecture: str) -> None:
    with pytest.raises(ValidationError, match="architecture"):
        Timm(architecture=architecture)
