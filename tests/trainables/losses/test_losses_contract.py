"""What every registered loss must do; a new entry of the registry is tested by being there."""

import pytest
import torch
from torch import Tensor

from trainables.losses.config import LOSSES, LossConfig
from trainables.losses.module import ProxyLoss

CLASSES, DIM = 5, 6


@pytest.fixture(params=sorted(LOSSES))
def config(request: pytest.FixtureRequest) -> LossConfig:
    config = LOSSES[request.param](name=request.param)
    assert isinstance(config, LossConfig)
    return config


def built(config: LossConfig, *, seed: int = 0) -> ProxyLoss:
    return ProxyLoss(config, num_classes=CLASSES, embedding_dim=DIM, seed=seed)


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    return torch.randn(8, DIM, generator=source, dtype=dtype), torch.tensor([0, 1, 2, 3, 0, 1, 2, 2])


class TestLossContract:
    def test_scalar_that_is_finite_and_has_gradients(self, config: LossConfig) -> None:
        loss, (e, y) = built(config), batch()
        value = loss(e.requires_grad_(), y, loss.classes)
        assert value.shape == ()
        value.backward()
        gradients = [e.grad, *(parameter.grad for parameter in loss.parameters())]
        assert all(gradient is not None and gradient.isfinite().all() and gradient.any() for gradient in gradients)

    def test_deterministic(self, config: LossConfig) -> None:
        e, y = batch()
        assert torch.equal(built(config)(e, y), built(config)(e, y))

    def test_order_of_the_batch_does_not_matter(self, config: LossConfig) -> None:
        loss, (e, y) = built(config).double(), batch(torch.float64)
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(loss(e, y), loss(e[order], y[order]), rtol=1e-12, atol=1e-12)

    def test_gradcheck(self, config: LossConfig) -> None:
        loss, (e, y) = built(config).double(), batch(torch.float64)
        parameters = dict(loss.named_parameters())

        def call(e: Tensor, *values: Tensor) -> Tensor:
            result: Tensor = torch.func.functional_call(loss, dict(zip(parameters, values, strict=True)), (e, y))
            return result

        assert torch.autograd.gradcheck(call, (e.requires_grad_(), *parameters.values()))

    def test_finite_under_bfloat16_autocast(self, config: LossConfig) -> None:
        loss, (e, y) = built(config), batch()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(e.bfloat16(), y, loss.classes)
        assert value.dtype == torch.float32
        assert value.isfinite()

    def test_state_round_trip(self, config: LossConfig) -> None:
        (e, y), source, target = batch(), built(config, seed=0), built(config, seed=1)
        target.load_state_dict(source.state_dict())
        assert torch.equal(source(e, y), target(e, y))

    def test_classes_fit_the_embedding(self, config: LossConfig) -> None:
        classes = built(config).classes
        assert (classes is not None) == config.has_proxies
        if classes is not None:
            assert classes.count == CLASSES
            assert classes.weights.shape == (CLASSES * config.centers_per_class, DIM)
