"""What every registered backbone has to keep, and so any that is added."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.backbones import BACKBONES, BackboneConfig
from trainables.backbones.build import Backbone, build_backbone
from trainables.parts import load_implementation

SIDE, BATCH = 32, 3
NAMES = sorted(BACKBONES)


def config(name: str, **settings: Any) -> BackboneConfig:
    part = BACKBONES[name](**settings)
    assert isinstance(part, BackboneConfig)
    return part


def build(name: str, *, channels: int = 3, seed: int = 0, **settings: Any) -> Backbone:
    return build_backbone(config(name, **settings), channels=channels, seed=seed)


def images(channels: int = 3) -> Tensor:
    return torch.rand(BATCH, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def batch_norms(backbone: Backbone) -> list[nn.BatchNorm2d]:
    return [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_one_finite_float32_row_per_image(name: str, channels: int) -> None:
    backbone = build(name, channels=channels).eval()
    features = backbone(images(channels))
    assert features.shape == (BATCH, backbone.feature_dim)
    assert features.dtype == torch.float32
    assert features.isfinite().all()
    assert features.std(0).max() > 0, "all images look the same to this backbone"


@pytest.mark.parametrize("name", NAMES)
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = build(name, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before), "building moved the global generator"
    torch.manual_seed(12)
    second, other = build(name, seed=5).state_dict(), build(name, seed=6).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_poolings_are_those_of_one_feature_map(name: str) -> None:
    batch = images()
    features = {pooling: build(name, pooling=pooling).eval()(batch) for pooling in ("avg", "max", "avg+max")}
    torch.testing.assert_close(features["avg+max"], features["avg"] + features["max"])
    network = build(name).eval()
    feature_map = network.body((batch - network.mean) / network.std)
    torch.testing.assert_close(features["avg"], feature_map.mean((2, 3)))
    torch.testing.assert_close(features["max"], feature_map.flatten(2).max(2).values)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_random_and_no_classifier_in_the_feature_path(name: str) -> None:
    backbone = build(name).train()
    kinds = {type(layer).__name__ for layer in backbone.modules()}
    assert not any("Dropout" in kind or kind in ("Linear", "AdaptiveAvgPool2d", "StochasticDepth") for kind in kinds)
    with torch.no_grad():
        assert torch.equal(backbone(images()), backbone(images()))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name: str) -> None:
    backbone = build(name).train()
    backbone(images()).square().sum().backward()
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    assert any(parameter.grad.abs().sum() > 0 for parameter in backbone.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_trains_by_default(name: str) -> None:
    backbone = build(name).train()
    assert batch_norms(backbone)
    assert all(layer.training for layer in batch_norms(backbone))
    before = batch_norms(backbone)[0].running_mean.clone()  # type: ignore[union-attr]
    backbone(images())
    assert not torch.equal(batch_norms(backbone)[0].running_mean, before)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", ["frozen_statistics", "frozen"])
def test_frozen_batch_norm_keeps_its_statistics_in_training(name: str, policy: str) -> None:
    backbone = build(name, batch_norm=policy).eval().train()
    buffers = {key: value.clone() for key, value in backbone.named_buffers()}
    backbone(images()).sum().backward()
    assert all(torch.equal(value, buffers[key]) for key, value in backbone.named_buffers())
    assert backbone.training
    trained = {layer.weight.requires_grad and layer.bias.requires_grad for layer in batch_norms(backbone)}
    assert trained == {policy == "frozen_statistics"}
    others = set(backbone.parameters()) - {p for layer in batch_norms(backbone) for p in layer.parameters()}
    assert all(parameter.requires_grad for parameter in others)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", ["train", "frozen"])
def test_a_backbone_that_is_not_trainable_never_leaves_evaluation_mode(name: str, policy: str) -> None:
    backbone = build(name, trainable=False, batch_norm=policy)
    model = nn.Sequential(backbone, nn.Linear(backbone.feature_dim, 2)).train()
    assert model.training
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    model(images()).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_carries_everything(name: str) -> None:
    backbone, other = build(name, seed=1).train(), build(name, seed=2)
    backbone(images())  # moves the running statistics
    other.load_state_dict(backbone.state_dict())
    assert torch.equal(backbone.eval()(images()), other.eval()(images()))


@pytest.mark.parametrize("name", NAMES)
def test_autocast_keeps_features_float32_and_finite(name: str) -> None:
    backbone = build(name, pooling="avg+max").eval()
    with torch.no_grad():
        exact = backbone(images())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = backbone(images())
    assert rounded.dtype == torch.float32
    assert rounded.isfinite().all()
    assert nn.functional.cosine_similarity(rounded, exact).min() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_configuration_names_its_implementation(name: str) -> None:
    assert callable(load_implementation(BACKBONES[name]()))


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys, trainables.backbones, trainables.backbones.weights;"
        "assert not {'torch', 'torchvision', 'ray', 'pandas', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torchvision_is_loaded_only_for_its_own_architectures() -> None:
    code = (
        "import sys;"
        "from trainables.backbones.build import build_backbone; from trainables.backbones.config import Conv4;"
        "import trainables.backbones.features, trainables.datasets.augmentation;"
        "build_backbone(Conv4(), channels=1, seed=0); assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
