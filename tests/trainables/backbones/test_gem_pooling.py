"""GeM pooling, fixed and learned, against its formula."""

import pytest
import torch

from trainables.backbones.build import build_backbone, pool
from trainables.backbones.config import Conv4


def test_it_is_the_power_mean() -> None:
    feature_map = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 8.0]]]], dtype=torch.float64)
    found = pool(feature_map, "gem", power=3.0)
    expected = torch.tensor([[((1 + 8 + 27 + 64) / 4) ** (1 / 3), (512 / 4) ** (1 / 3)]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_its_limits_are_mean_and_maximum() -> None:
    feature_map = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(pool(feature_map, "gem", power=1.0), pool(feature_map, "avg"), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(pool(feature_map, "gem", power=500.0), pool(feature_map, "max"), rtol=1e-2, atol=0)


def test_dead_channels_stay_finite_in_value_and_gradient() -> None:
    feature_map = torch.zeros(1, 2, 2, 2, requires_grad=True)
    power = torch.nn.Parameter(torch.tensor(3.0))
    features = pool(feature_map, "gem", power=power)
    torch.testing.assert_close(features, torch.full((1, 2), 1e-6), rtol=1e-4, atol=0)
    features.sum().backward()
    assert feature_map.grad is not None
    assert power.grad is not None
    assert feature_map.grad.isfinite().all()
    assert power.grad.isfinite()


def test_gradients_of_map_and_power() -> None:
    feature_map = (torch.rand(2, 2, 2, 3, dtype=torch.float64) + 0.1).requires_grad_()
    power = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, p: pool(x, "gem", power=p), (feature_map, power))


@pytest.mark.parametrize(("trainable", "training"), [(True, "learned"), (True, "fixed"), (False, "learned")])
def test_the_power_is_a_parameter_where_it_is_learned(trainable: bool, training: str) -> None:
    config = Conv4.model_validate(
        {"width": 4, "pooling": "gem", "gem_power": 2, "gem_training": training, "trainable": trainable}
    )
    backbone = build_backbone(config, channels=1, seed=0)
    trained = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert ("gem_power" in trained) == (trainable and training == "learned")
    assert ("gem_power" in backbone.state_dict()) == (training == "learned")
    images = torch.rand(2, 1, 16, 16)
    backbone.eval()
    torch.testing.assert_close(backbone(images), pool(backbone.body(backbone.normalized(images)), "gem", power=2.0))


def test_other_poolings_have_no_power_to_learn() -> None:
    backbone = build_backbone(Conv4(width=4, gem_training="learned"), channels=1, seed=0)
    assert "gem_power" not in backbone.state_dict()
