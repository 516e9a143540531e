"""What every registered backbone has to keep, and so any that is added; what that finds, and what planning loads."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from trainables.backbones import BACKBONES, BackboneConfig
from trainables.backbones.base import Network
from trainables.testing.backbones import BackboneContract

REQUIRED: dict[str, dict[str, Any]] = {
    "timm": {"architecture": "test_resnet"},
    "torchvision": {"architecture": "shufflenet_v2_x0_5"},
    "vit_small": {"image_size": 32},
}
SISTERS = {"resnet34": 512, "resnet50": 2048, "resnet101": 2048, "vit_small": 384}
"""Large networks that differ from others in their size, and their widths: a few checks do."""


def registered_config(name: str) -> BackboneConfig:
    config = BACKBONES[name].model_validate({"name": name, **REQUIRED.get(name, {})})
    assert isinstance(config, BackboneConfig)
    return config


class TestRegisteredBackbones(BackboneContract):
    @pytest.fixture(params=sorted(set(BACKBONES) - set(SISTERS)))
    def config(self, request: pytest.FixtureRequest) -> BackboneConfig:
        return registered_config(request.param)


@pytest.mark.parametrize(("name", "width"), SISTERS.items())
def test_larger_sisters(name: str, width: int) -> None:
    config = registered_config(name)
    CONTRACT.test_configuration(config)
    CONTRACT.test_gradients_reach_every_parameter(config)
    backbone = CONTRACT.built(config, batch_norm="frozen").train()
    assert not any(layer.training for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d))
    assert backbone(CONTRACT.images()).shape == (3, width)
    assert backbone.feature_dim == width


class Faulty(BackboneConfig):
    """A backbone whose builder a test replaces."""

    name: Literal["faulty"] = "faulty"


class Plane(nn.Module):
    """A convolution that a fault replaces in part."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, 4, 3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.layer(images)
        return result


class Blind(Plane):
    """Sees no image."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * 0 + 1


class Mixing(Plane):
    """Centers by the batch, in evaluation too."""

    def forward(self, images: Tensor) -> Tensor:
        features = super().forward(images)
        return features - features.mean(0)


class Dropping(Plane):
    """Drops at random."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop = nn.Dropout()

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.drop(super().forward(images))
        return result


class Unused(Plane):
    """Has a layer that takes no part."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.spare = nn.Conv2d(1, 1, 1)


class Hidden(Plane):
    """Has weights that no state dict has."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.factor = torch.rand(4, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * self.factor


class Single(Plane):
    """Knows one precision."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).float()


CONTRACT = BackboneContract()
FAULTS: list[tuple[type[Plane], Callable[..., None], tuple[Any, ...]]] = [
    (Blind, CONTRACT.test_features_are_one_finite_float32_row_per_image, (3,)),
    (Mixing, CONTRACT.test_an_image_does_not_depend_on_the_others, ()),
    (Dropping, CONTRACT.test_nothing_random_and_no_classifier_in_the_feature_path, ()),
    (Unused, CONTRACT.test_gradients_reach_every_parameter, ()),
    (Hidden, CONTRACT.test_state_dict_carries_everything, ()),
    (Hidden, CONTRACT.test_device_move, ()),
    (Single, CONTRACT.test_double_precision_stays_double, ()),
]


@pytest.mark.parametrize(
    ("body", "check", "arguments"), FAULTS, ids=[f"{body.__name__}-{check.__name__}" for body, check, _ in FAULTS]
)
def test_the_contract_finds(
    body: type[Plane], check: Callable[..., None], arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(config: BackboneConfig, *, channels: int) -> Network:
        return Network(body(channels), feature_dim=4, channels=channels, mean=(0.5,), std=(0.5,))

    monkeypatch.setattr("trainables.backbones.build.load_implementation", lambda config: build)
    with pytest.raises((AssertionError, RuntimeError)):
        check(Faulty(), *arguments)


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
