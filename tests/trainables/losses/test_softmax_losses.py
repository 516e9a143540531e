"""Cross entropies without a margin against their formulas; classes that do not exist for a row."""

import math
from collections.abc import Callable

import pytest
import torch
from loss_oracles import assert_same, batch, cosine, dot, gradients, mean_cross_entropy, some_excluded
from pytorch_metric_learning import losses as pml
from torch import Tensor

from trainables.losses import functional as F
from trainables.losses.logits import class_cross_entropy, replace_target, target_logits

Loss = Callable[..., Tensor]
ON_COSINES: list[tuple[Loss, float]] = [(F.norm_softmax, 23.0), (F.proxy_nca, 24.0), (F.proxy_nca_pp, 18.0)]
"""Each with the scale of the cosines that its default parameters come to."""
EVERY: list[Loss] = [F.softmax, F.norm_softmax, F.proxy_nca, F.proxy_nca_pp, F.sphereface, F.cosface, F.arcface]


def a_bias(classes: int = 5) -> Tensor:
    return torch.linspace(-2, 3, classes, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("excluded", [False, True])
def test_softmax_is_the_cross_entropy_of_a_linear_classifier(excluded: bool) -> None:
    (e, y, w), b = batch(), a_bias()
    mask = some_excluded(y, 5) if excluded else None
    expected = mean_cross_entropy(lambda i, c: dot(e[i], w[c]) + b[c], y, 5, mask)
    assert_same(F.softmax(e, y, w, bias=b, excluded=mask), expected, e, w, b)


def test_softmax_without_bias() -> None:
    e, y, w = batch()
    assert_same(F.softmax(e, y, w), mean_cross_entropy(lambda i, c: dot(e[i], w[c]), y, 5), e, w)
    assert_same(F.softmax(e, y, w), F.softmax(e, y, w, bias=torch.zeros(5, dtype=torch.float64)), e, w)


def test_softmax_by_hand() -> None:
    """z = (1, 2), w = (3, 0) and (0, 2), b = (0.5, -1): logits 3.5 and 3; the true class is the second."""
    e, w = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([[3.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    loss = F.softmax(e, torch.tensor([1]), w, bias=torch.tensor([0.5, -1.0], dtype=torch.float64))
    assert float(loss) == pytest.approx(math.log(1 + math.exp(0.5)), abs=1e-12)


def test_softmax_keeps_the_length_of_the_vectors() -> None:
    e, y, w = batch()
    assert_same(F.softmax(2 * e, y, w), F.softmax(e, y, 2 * w), e, w)
    assert not torch.allclose(F.softmax(2 * e, y, w), F.softmax(e, y, w))


def test_softmax_refuses_a_bias_for_other_classes() -> None:
    e, y, w = batch()
    with pytest.raises(ValueError, match=r"each of 5 classes; got \[4\]"):
        F.softmax(e, y, w, bias=torch.zeros(4))


def test_softmax_does_not_round_under_autocast() -> None:
    e, y, w = batch(32, 9, 64)
    half, weights = e.detach().bfloat16(), w.detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.softmax(half, y, weights)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), F.softmax(half.double(), y, weights.double()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("implementation", "scale"), ON_COSINES)
@pytest.mark.parametrize("excluded", [False, True])
def test_losses_on_cosines(implementation: Loss, scale: float, excluded: bool) -> None:
    e, y, p = batch()
    mask = some_excluded(y, 5) if excluded else None
    expected = mean_cross_entropy(lambda i, c: scale * cosine(e[i], p[c]), y, 5, mask)
    assert_same(implementation(e, y, p, excluded=mask), expected, e, p)


def test_proxy_nca_pp_is_proxy_nca_at_the_inverse_temperature() -> None:
    """T = 1/9. Squared distances between unit vectors of cosines 0.6 and 0.8: 0.8 and 0.4, times 9."""
    e, p = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    loss = F.proxy_nca_pp(e, torch.tensor([1]), p)
    assert float(loss) == pytest.approx(math.log(1 + math.exp(-9 * 0.8 + 9 * 0.4)), abs=1e-12)
    assert loss == F.proxy_nca(e, torch.tensor([1]), p, scale=9.0)


def test_proxy_nca_pp_equals_pytorch_metric_learning() -> None:
    e, y, p = batch()
    oracle = pml.ProxyNCALoss(num_classes=5, embedding_size=4, softmax_scale=10).double()
    del oracle.proxies
    oracle.proxies = p
    assert_same(F.proxy_nca_pp(e, y, p, scale=10.0), oracle(e, y), e, p)


@pytest.mark.parametrize("implementation", EVERY)
def test_gradcheck(implementation: Loss) -> None:
    e, y, p = batch(5, 4, 3)
    mask = some_excluded(y, 4)
    assert torch.autograd.gradcheck(lambda a, b: implementation(a, y, b, excluded=mask), (e, p))


@pytest.mark.parametrize("implementation", EVERY)
def test_a_row_that_sees_its_own_class_alone_teaches_nothing(implementation: Loss) -> None:
    e, y, p = batch()
    mask = torch.zeros(len(y), 5, dtype=torch.bool)
    mask[2] = torch.arange(5) != y[2]
    row, _ = gradients(implementation(e, y, p, excluded=mask), e, p)
    assert not row[2].any()
    assert row[[0, 1, 3, 4, 5, 6]].any(dim=1).all()


@pytest.mark.parametrize("implementation", EVERY)
def test_excluded_must_fit_and_spare_the_own_class(implementation: Loss) -> None:
    e, y, p = batch()
    with pytest.raises(ValueError, match=r"torch.bool \[7, 5\].*got torch.bool \[7, 4\]"):
        implementation(e, y, p, excluded=torch.zeros(7, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"torch.bool \[7, 5\].*got torch.float32"):
        implementation(e, y, p, excluded=torch.zeros(7, 5))
    with pytest.raises(ValueError, match="class of a row itself"):
        implementation(e, y, p, excluded=torch.ones(7, 5, dtype=torch.bool))


def test_target_column() -> None:
    logits = torch.arange(6.0).reshape(2, 3)
    labels = torch.tensor([2, 0], dtype=torch.int32)
    assert target_logits(logits, labels).tolist() == [2.0, 3.0]
    assert replace_target(logits, labels, torch.tensor([-1.0, -2.0])).tolist() == [[0, 1, -1], [-2, 4, 5]]
    assert logits.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_class_cross_entropy_by_hand() -> None:
    """Logits (0, log 2, log 5), the first is the target: log 8 with all classes, log 6 without the second."""
    logits, labels = torch.tensor([[1.0, 2.0, 5.0]], dtype=torch.float64).log(), torch.tensor([0])
    assert float(class_cross_entropy(logits, labels)) == pytest.approx(math.log(8), abs=1e-12)
    without = class_cross_entropy(logits, labels, excluded=torch.tensor([[False, True, False]]))
    assert float(without) == pytest.approx(math.log(6), abs=1e-12)
    large = logits - torch.tensor([1e6, 0.0, 1e6], dtype=torch.float64)
    without = class_cross_entropy(large, labels, excluded=torch.tensor([[False, True, False]]))
    assert float(without) == pytest.approx(math.log(6), abs=1e-9)
