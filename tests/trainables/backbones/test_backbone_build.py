"""Architectures and preprocessing: what the contract cannot know."""

import pytest
import torch
from pydantic import ValidationError

from trainables.backbones.build import build_backbone
from trainables.backbones.config import (
    Conv4,
    GoogLeNet,
    MobileNetV2,
    ResNet18,
    SqueezeNet,
    TorchvisionConfig,
)
from trainables.errors import ConfigError
from trainables.parts import identity


@pytest.mark.parametrize(("side", "map_side"), [(8, 1), (16, 1), (17, 1), (28, 1), (32, 2), (84, 5), (105, 6)])
def test_conv4_takes_small_images(side: int, map_side: int) -> None:
    backbone = build_backbone(Conv4(width=8), channels=1, seed=0).train()
    assert backbone.body(torch.rand(2, 1, side, side)).shape == (2, 8, map_side, map_side)


def test_conv4_pools_four_times_from_sixteen_pixels_on() -> None:
    backbone = build_backbone(Conv4(width=8), channels=3, seed=0).eval()
    assert backbone.body(torch.rand(1, 3, 16, 31)).shape == (1, 8, 1, 1)
    assert backbone.feature_dim == 8


def test_conv4_convolutions_have_no_bias() -> None:
    backbone = build_backbone(Conv4(), channels=3, seed=0)
    convolutions = [layer for layer in backbone.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.bias for layer in convolutions] == [None] * 4
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [
        (3, 64),
        (64, 64),
        (64, 64),
        (64, 64),
    ]


WIDTHS = [
    (ResNet18(), 512),
    (GoogLeNet(), 1024),
    (MobileNetV2(), 1280),
    (SqueezeNet(), 512),
]


@pytest.mark.parametrize(("config", "width"), WIDTHS, ids=[config.name for config, _ in WIDTHS])
def test_torchvision_widths(config: TorchvisionConfig, width: int) -> None:
    assert build_backbone(config, channels=3, seed=0).feature_dim == width


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvision_features_are_those_before_its_classifier(name: str) -> None:
    import torchvision

    config = {"resnet18": ResNet18(), "mobilenet_v2": MobileNetV2()}[name]
    backbone = build_backbone(config, channels=3, seed=3).eval()
    original = torchvision.models.get_model(name, weights=None).eval()
    missing, unexpected = original.load_state_dict(backbone.body.state_dict(), strict=False)
    assert not unexpected
    assert {key.split(".")[0] for key in missing} <= {"fc", "classifier"}
    setattr(original, "fc" if name == "resnet18" else "classifier", torch.nn.Identity())
    images = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalized = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(backbone(images), original(normalized))


def test_googlenet_sees_images_as_its_weights_do() -> None:
    """torchvision's pretrained model rescales images that are normalised for ImageNet; so must ours at the end."""
    import torchvision

    backbone = build_backbone(GoogLeNet(), channels=3, seed=3).eval()
    original = torchvision.models.googlenet(
        weights=None, aux_logits=False, init_weights=False, transform_input=True
    ).eval()
    missing, unexpected = original.load_state_dict(backbone.body.state_dict(), strict=False)
    assert not unexpected
    assert set(missing) == {"fc.weight", "fc.bias"}
    original.fc = torch.nn.Identity()
    images = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalized = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(backbone(images), original(normalized), rtol=1e-4, atol=1e-5)


def test_torchvision_sees_gray_images_as_color_images() -> None:
    gray = torch.rand(2, 1, 32, 32)
    one = build_backbone(ResNet18(), channels=1, seed=0).eval()
    three = build_backbone(ResNet18(), channels=3, seed=0).eval()
    assert torch.equal(one(gray), three(gray.repeat(1, 3, 1, 1)))


def test_conv4_sees_images_from_minus_one_to_one() -> None:
    backbone = build_backbone(Conv4(width=4), channels=1, seed=0).eval()
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(backbone(images), backbone.body((images - 0.5) / 0.5).mean((2, 3)))


def test_other_channel_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="'resnet18' takes images with 1 or 3 channels, not with 4"):
        build_backbone(ResNet18(), channels=4, seed=0)


@pytest.mark.parametrize("pooling", ["avg", "max", "avg+max", "gem"])
def test_pooling_has_deterministic_gradients_only(pooling: str) -> None:
    """Adaptive pooling, the usual way, has none on a GPU: deterministic training would stop with an error."""
    backbone = build_backbone(ResNet18(pooling=pooling), channels=3, seed=0).train()  # type: ignore[arg-type]
    features = backbone(torch.rand(2, 3, 64, 64))
    seen, pending = set(), [features.grad_fn]
    while pending:
        node = pending.pop()
        if node is not None and node not in seen:
            seen.add(node)
            pending.extend(parent for parent, _ in node.next_functions)
    assert not any("Adaptive" in type(node).__name__ for node in seen)


def test_resnets_see_images_as_in_caffe() -> None:
    """Blue, green, red in 0..255 less Caffe's mean; the network itself stays the same."""
    config = ResNet18(preprocessing="caffe")
    backbone = build_backbone(config, channels=3, seed=0).eval()
    image = torch.tensor([200 / 255, 100 / 255, 50 / 255]).view(1, 3, 1, 1)
    expected = torch.tensor([50 - 103.939, 100 - 116.779, 200 - 123.68])
    torch.testing.assert_close(backbone.normalized(image).flatten(), expected, rtol=1e-5, atol=1e-4)
    other = build_backbone(ResNet18(), channels=3, seed=0).state_dict()
    assert all(torch.equal(value, other[key]) for key, value in backbone.state_dict().items())
    assert "preprocessing" not in identity(ResNet18())
    assert identity(config)["preprocessing"] == "caffe"


def test_sum_is_another_word_for_avg_max() -> None:
    config = ResNet18.model_validate({"pooling": "sum"})
    assert config == ResNet18(pooling="avg+max")
    assert identity(config) == identity(ResNet18(pooling="avg+max"))
    assert ResNet18.model_json_schema()["properties"]["pooling"]["enum"] == ["avg", "max", "avg+max", "sum", "gem"]
    with pytest.raises(ValidationError, match="pooling"):
        ResNet18.model_validate({"pooling": "mean"})
