"""The module around a base loss: initial proxies and the classes it is computed on."""

import math
from typing import ClassVar, Literal, get_args

import pytest
import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.losses import functional as F
from trainables.losses.config import LossConfig, NormSoftmax, ProxyAnchor, ProxyInit, ProxyNCA
from trainables.losses.module import BaseLoss, initial_proxies
from trainables.losses.softmax_config import CurricularFace, Softmax


def mean_length(embeddings: Tensor, labels: Tensor) -> Tensor:
    """A loss without proxies."""
    return embeddings.norm(dim=1).mean()


class MeanLength(LossConfig):
    name: Literal["mean_length"] = "mean_length"
    has_proxies: ClassVar[bool] = False
    implementation: ClassVar[str] = f"{__name__}:mean_length"


class TwoCenters(NormSoftmax):
    @property
    def centers(self) -> int:
        return 2


def proxies_of(config: LossConfig, *, seed: int = 0, classes: int = 6) -> Tensor:
    loss = BaseLoss(config, num_classes=classes, embedding_dim=4, seed=seed)
    assert loss.proxies is not None
    return loss.proxies.detach()


def test_losses_of_one_initialization_start_from_the_same_proxies() -> None:
    assert torch.equal(proxies_of(NormSoftmax(scale=3.0), seed=5), proxies_of(ProxyNCA(), seed=5))
    assert torch.equal(proxies_of(NormSoftmax(), seed=5), proxies_of(ProxyAnchor(proxy_init="kaiming_uniform"), seed=5))
    assert not torch.equal(proxies_of(NormSoftmax(), seed=5), proxies_of(NormSoftmax(), seed=6))


def test_initialization_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    proxies_of(NormSoftmax())
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(("rows", "dim"), [(300, 64), (64, 300)])
@pytest.mark.parametrize("init", get_args(ProxyInit))
def test_initial_distribution(init: ProxyInit, rows: int, dim: int) -> None:
    """Uniform in +-1/sqrt(D) or +-1/sqrt(C), sqrt(3) standard deviations; normal: sqrt(2 / C), sqrt(2 / D), 1, 0.01."""
    proxies = initial_proxies(rows, dim, init, seed=0)
    uniform = {"kaiming_uniform": 1 / math.sqrt(3 * dim), "kaiming_uniform_fan_out": 1 / math.sqrt(3 * rows)}
    kaiming = {"kaiming_normal": math.sqrt(2 / rows), "kaiming_normal_fan_in": math.sqrt(2 / dim)}
    deviation = {**uniform, **kaiming, "normal": 1.0, "small_normal": 0.01}[init]
    assert float(proxies.std()) == pytest.approx(deviation, rel=0.03)
    assert abs(float(proxies.mean())) < 0.03 * deviation
    assert (float(proxies.abs().max()) <= math.sqrt(3) * deviation) == (init in uniform)


def test_the_loss_is_its_function_on_the_learned_or_on_the_given_classes() -> None:
    loss = BaseLoss(ProxyAnchor(scale=8.0, margin=0.2), num_classes=3, embedding_dim=4, seed=0)
    e, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 2, 0])
    assert loss.proxies is not None
    assert loss.classes == Classes(loss.proxies)
    assert torch.equal(loss(Batch(e, y, loss.classes)), F.proxy_anchor(e, y, loss.proxies, scale=8.0, margin=0.2))
    enlarged = Classes(torch.randn(7, 4))
    y = y + 4
    assert torch.equal(loss(Batch(e, y, enlarged)), F.proxy_anchor(e, y, enlarged.weights, scale=8.0, margin=0.2))


def test_gradient_reaches_the_proxies() -> None:
    loss = BaseLoss(NormSoftmax(), num_classes=3, embedding_dim=4, seed=0)
    loss(Batch(torch.randn(2, 4), torch.tensor([0, 1]), loss.classes)).backward()
    assert loss.proxies is not None
    assert loss.proxies.grad is not None
    assert loss.proxies.grad.abs().sum() > 0


def test_centers_per_class_multiply_the_rows() -> None:
    loss = BaseLoss(TwoCenters(), num_classes=3, embedding_dim=4, seed=0)
    assert loss.classes is not None
    assert loss.classes.weights.shape == (6, 4)
    assert loss.classes.count == 3


def test_a_loss_without_proxies_has_no_parameter_and_no_classes() -> None:
    loss = BaseLoss(MeanLength(), num_classes=3, embedding_dim=4, seed=0)
    assert list(loss.parameters()) == []
    assert loss.classes is None
    e = torch.randn(5, 4)
    assert torch.equal(loss(Batch(e, torch.zeros(5, dtype=torch.int64), None)), e.norm(dim=1).mean())


def test_a_bias_starts_at_zero_is_learned_and_travels_with_the_classes() -> None:
    loss = BaseLoss(Softmax(), num_classes=3, embedding_dim=4, seed=0)
    assert loss.bias is not None
    assert loss.bias.tolist() == [0.0, 0.0, 0.0]
    assert loss.classes is not None
    assert loss.classes.bias is loss.bias
    loss(Batch(torch.randn(2, 4), torch.tensor([0, 1]), loss.classes)).backward()
    assert loss.bias.grad is not None
    e, y = torch.randn(2, 4), torch.tensor([3, 4])
    enlarged = Classes(torch.randn(5, 4), torch.randn(5))
    assert torch.equal(loss(Batch(e, y, enlarged)), F.softmax(e, y, enlarged.weights, bias=enlarged.bias))


def test_excluded_classes_reach_the_function() -> None:
    loss = BaseLoss(NormSoftmax(), num_classes=3, embedding_dim=4, seed=0)
    e, y, excluded = torch.randn(2, 4), torch.tensor([0, 1]), torch.tensor([[False, True, False], [False, False, True]])
    assert loss.proxies is not None
    assert loss(Batch(e, y, loss.classes, excluded)) == F.norm_softmax(e, y, loss.proxies, excluded=excluded)


def test_the_state_of_a_loss_is_in_its_state_dict_and_counts_real_rows() -> None:
    loss = BaseLoss(CurricularFace(), num_classes=3, embedding_dim=4, seed=0)
    e, y = torch.randn(4, 4), torch.tensor([0, 1, 2, 2])
    loss(Batch(e, y, loss.classes, real=2))
    assert loss.proxies is not None
    mean = torch.nn.functional.cosine_similarity(e[:2], loss.proxies[:2]).mean()
    torch.testing.assert_close(loss.state_dict()["function.t"], 0.01 * mean.detach())
