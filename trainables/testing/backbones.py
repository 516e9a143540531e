"""What every backbone must do. Inherit the class in a test module and override `config`; pytest runs the rest.

class TestMyBackbone(BackboneContract):
    @pytest.fixture
    def config(self):
        return MyBackbone(width=8)
"""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from trainables.backbones.build import Backbone, build_backbone
from trainables.backbones.config import BackboneConfig
from trainables.parts import load_implementation

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class BackboneContract:
    """The contract of a registered backbone, on random weights: a configuration without a weights file.

    Attributes:
        side: of the images, in pixels.
        channels: of the images that it must take; those with one are repeated where it needs three.
    """

    side: ClassVar[int] = 32
    channels: ClassVar[int] = 3

    @pytest.fixture
    def config(self) -> BackboneConfig:
        """The backbone under test; to be overridden."""
        raise NotImplementedError("override the fixture `config` with the configuration of a backbone")

    def built(self, config: BackboneConfig, *, channels: int | None = None, seed: int = 0, **settings: Any) -> Backbone:
        """The backbone with these settings on top, in training mode."""
        changed = type(config).model_validate({**config.model_dump(), **settings})
        return build_backbone(changed, channels=channels or self.channels, seed=seed)

    def images(self, channels: int | None = None) -> Tensor:
        """Three images in 0..1."""
        source = torch.Generator().manual_seed(1)
        return torch.rand(3, channels or self.channels, self.side, self.side, generator=source)

    def test_configuration(self, config: BackboneConfig) -> None:
        """It is registered by the default of `name`, survives being written down, and names its builder."""
        assert type(config).model_fields["name"].default == config.name
        assert type(config).model_validate_json(config.model_dump_json()) == config
        assert callable(load_implementation(config))

    @pytest.mark.parametrize("channels", [1, 3])
    def test_features_are_one_finite_float32_row_per_image(self, config: BackboneConfig, channels: int) -> None:
        backbone = self.built(config, channels=channels).eval()
        features = backbone(self.images(channels))
        assert features.shape == (3, backbone.feature_dim)
        assert features.dtype == torch.float32
        assert features.isfinite().all()
        assert features.std(0).max() > 0, "all images look the same to this backbone"

    def test_an_image_does_not_depend_on_the_others(self, config: BackboneConfig) -> None:
        backbone, images = self.built(config).double().eval(), self.images().double()
        torch.testing.assert_close(backbone(images)[:1], backbone(images[:1]))
        assert backbone(images[:0]).shape == (0, backbone.feature_dim)

    def test_weights_depend_on_the_seed_alone(self, config: BackboneConfig) -> None:
        torch.manual_seed(11)
        before = torch.get_rng_state()
        first = self.built(config, seed=5).state_dict()
        assert torch.equal(torch.get_rng_state(), before), "building moved the global generator"
        torch.manual_seed(12)
        second, other = self.built(config, seed=5).state_dict(), self.built(config, seed=6).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert any(not torch.equal(first[key], other[key]) for key in first)

    def test_poolings_are_those_of_one_feature_map(self, config: BackboneConfig) -> None:
        batch = self.images()
        poolings = ("avg", "max", "avg+max", "gem")
        features = {pooling: self.built(config, pooling=pooling).eval()(batch) for pooling in poolings}
        torch.testing.assert_close(features["avg+max"], features["avg"] + features["max"])
        network = self.built(config).eval()
        feature_map = network.body(network.normalized(batch))
        torch.testing.assert_close(features["avg"], feature_map.mean((2, 3)))
        torch.testing.assert_close(features["max"], feature_map.flatten(2).max(2).values)
        cubes = feature_map.double().clamp(min=1e-6) ** 3
        torch.testing.assert_close(features["gem"].double(), cubes.mean((2, 3)) ** (1 / 3), rtol=1e-4, atol=1e-6)

    def test_nothing_random_and_no_classifier_in_the_feature_path(self, config: BackboneConfig) -> None:
        backbone = self.built(config).train()
        kinds = {type(layer).__name__ for layer in backbone.modules()}
        assert not any("Dropout" in kind or kind in _NOT_IN_FEATURES for kind in kinds)
        with torch.no_grad():
            assert torch.equal(backbone(self.images()), backbone(self.images()))

    def test_gradients_reach_every_parameter(self, config: BackboneConfig) -> None:
        backbone = self.built(config, trainable=True, batch_norm="train").train()
        backbone(self.images()).square().sum().backward()
        gradients = [parameter.grad for parameter in backbone.parameters()]
        assert all(parameter.requires_grad for parameter in backbone.parameters())
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.abs().sum() > 0 for gradient in gradients if gradient is not None)

    def test_batch_norm_trains_by_default(self, config: BackboneConfig) -> None:
        backbone = self.built(config, trainable=True, batch_norm="train").train()
        layers = _batch_norms(backbone)
        if not layers:
            pytest.skip("no batch norm")
        before = _statistics(backbone)
        backbone(self.images())
        assert all(layer.training for layer in layers)
        assert any(not torch.equal(value, before[key]) for key, value in _statistics(backbone).items())

    @pytest.mark.parametrize("policy", ["frozen_statistics", "frozen"])
    def test_frozen_batch_norm_keeps_its_statistics_in_training(self, config: BackboneConfig, policy: str) -> None:
        backbone = self.built(config, trainable=True, batch_norm=policy).eval().train()
        before = _statistics(backbone)
        backbone(self.images()).sum().backward()
        assert all(torch.equal(value, before[key]) for key, value in _statistics(backbone).items())
        assert backbone.training
        of_batch_norm = {parameter for layer in _batch_norms(backbone) for parameter in layer.parameters()}
        assert all(parameter.requires_grad == (policy == "frozen_statistics") for parameter in of_batch_norm)
        assert all(parameter.requires_grad for parameter in set(backbone.parameters()) - of_batch_norm)

    @pytest.mark.parametrize("policy", ["train", "frozen"])
    def test_a_backbone_that_is_not_trainable_never_leaves_evaluation_mode(
        self, config: BackboneConfig, policy: str
    ) -> None:
        backbone = self.built(config, trainable=False, batch_norm=policy)
        model = nn.Sequential(backbone, nn.Linear(backbone.feature_dim, 2)).train()
        assert model.training
        assert not any(module.training for module in backbone.modules())
        assert not any(parameter.requires_grad for parameter in backbone.parameters())
        before = {key: value.clone() for key, value in backbone.state_dict().items()}
        model(self.images()).sum().backward()
        assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())

    def test_state_dict_carries_everything(self, config: BackboneConfig) -> None:
        backbone, other = self.built(config, seed=1).train(), self.built(config, seed=2)
        backbone(self.images())  # moves the running statistics
        other.load_state_dict(backbone.state_dict())
        assert torch.equal(backbone.eval()(self.images()), other.eval()(self.images()))

    def test_autocast_keeps_features_float32_and_finite(self, config: BackboneConfig) -> None:
        backbone = self.built(config, pooling="avg+max").eval()
        with torch.no_grad():
            exact = backbone(self.images())
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rounded = backbone(self.images())
        assert rounded.dtype == torch.float32
        assert rounded.isfinite().all()
        assert nn.functional.cosine_similarity(rounded, exact).min() > 0.99

    def test_double_precision_stays_double(self, config: BackboneConfig) -> None:
        backbone = self.built(config).double().eval()
        with torch.no_grad():
            assert backbone(self.images().double()).dtype == torch.float64

    def test_device_move(self, config: BackboneConfig) -> None:
        """Every tensor goes along, and the other device (where there is one) gives about the same features."""
        backbone = self.built(config).eval()
        with torch.no_grad():
            expected = backbone(self.images())
            found = self.built(config).to(DEVICE).eval()(self.images().to(DEVICE)).cpu()
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)
        moved = self.built(config).to("meta")
        assert all(tensor.device.type == "meta" for tensor in (*moved.parameters(), *moved.buffers()))
        assert moved(self.images().to("meta")).device.type == "meta"


_NOT_IN_FEATURES = ("Linear", "AdaptiveAvgPool2d", "StochasticDepth")


def _batch_norms(backbone: Backbone) -> list[nn.BatchNorm2d]:
    return [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]


def _statistics(backbone: Backbone) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in backbone.named_buffers()}
