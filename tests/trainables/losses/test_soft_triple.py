"""SoftTriple against its formula: soft maximum over centers, margin, regularizer."""

import math

import pytest
import torch
from loss_oracles import assert_same, at_angles, batch, cosine, dot, gradients, mean_cross_entropy, some_excluded
from pytorch_metric_learning import losses as pml
from torch import Tensor

from trainables.losses import functional as F
from trainables.losses.softmax_config import SoftTriple


def regularizer(centers: Tensor, k: int) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    classes = len(centers) // k
    for c in range(classes):
        for a in range(k):
            for b in range(a + 1, k):
                total = total + (2 + 1e-5 - 2 * cosine(centers[c * k + a], centers[c * k + b])).sqrt()
    return total / (classes * k * (k - 1)) if k > 1 else total


def oracle(
    e: Tensor,
    y: Tensor,
    w: Tensor,
    *,
    k: int,
    scale: float,
    gamma: float,
    margin: float,
    tau: float,
    excluded: Tensor | None = None,
) -> Tensor:
    def logit(i: int, c: int) -> Tensor:
        similar = torch.stack([cosine(e[i], w[c * k + a]) for a in range(k)])
        weights = (similar / gamma).exp() / (similar / gamma).exp().sum()
        return scale * (dot(weights, similar) - (margin if c == int(y[i]) else 0))

    return mean_cross_entropy(logit, y, len(w) // k, excluded) + tau * regularizer(w, k)


CASES = [
    (10, 20.0, 0.1, 0.01, 0.2),  # the defaults
    (3, 17.69, 19.18, 0.3588, 0.0669),  # gamma that takes nearly the mean
    (2, 100.0, 0.05, 0.3, 0.0),
    (1, 20.0, 0.1, 0.01, 0.2),
]


@pytest.mark.parametrize(("k", "scale", "gamma", "margin", "tau"), CASES)
@pytest.mark.parametrize("excluded", [False, True])
def test_formula(k: int, scale: float, gamma: float, margin: float, tau: float, excluded: bool) -> None:
    e, y, w = batch(6, 4, 3, centers=k)
    mask = some_excluded(y, 4) if excluded else None
    given = F.soft_triple(e, y, w, centers_per_class=k, scale=scale, gamma=gamma, margin=margin, tau=tau, excluded=mask)
    expected = oracle(e, y, w, k=k, scale=scale, gamma=gamma, margin=margin, tau=tau, excluded=mask)
    assert_same(given, expected, e, w)


def test_default_parameters_are_the_published_ones() -> None:
    e, y, w = batch(centers=10)
    expected = F.soft_triple(e, y, w, centers_per_class=10, scale=20.0, gamma=0.1, margin=0.01, tau=0.2)
    assert F.soft_triple(e, y, w) == expected


def test_by_hand() -> None:
    """One row on the first axis; its class has centers at 0 and 90 degrees, the other class two at 180 degrees.

    With gamma 1 the weights of its class are e/(e + 1) and 1/(e + 1), so R = e/(e + 1); the other R is -1. The centers
    of the two classes are sqrt(2 + 1e-5) and sqrt(1e-5) apart; divided by C K (K - 1) = 4.
    """
    e, w = at_angles(0.0), torch.tensor([[1, 0], [0, 1], [-1, 0], [-1, 0]], dtype=torch.float64)
    loss = F.soft_triple(e, torch.tensor([0]), w, centers_per_class=2, scale=3.0, gamma=1.0, margin=0.25, tau=0.5)
    own = math.e / (math.e + 1) - 0.25
    spread = (math.sqrt(2 + 1e-5) + math.sqrt(1e-5)) / 4
    assert float(loss) == pytest.approx(math.log(1 + math.exp(3 * (-1 - own))) + 0.5 * spread, abs=1e-12)


def test_pytorch_metric_learning_agrees() -> None:
    """It has no regularizer on centers; its columns are ordered c * K + k as well."""
    e, y, w = batch(6, 4, 3, centers=5)
    theirs = pml.SoftTripleLoss(
        num_classes=4, embedding_size=3, centers_per_class=5, la=15, gamma=0.2, margin=0.1
    ).double()
    del theirs.fc
    theirs.fc = w.T
    theirs.cast_types = lambda dtype, device: None
    ours = F.soft_triple(e, y, w, centers_per_class=5, scale=15.0, gamma=0.2, margin=0.1, tau=0.0)
    assert_same(ours, theirs(e, y), e, w)


def test_one_center_is_cosface() -> None:
    e, y, w = batch()
    one = F.soft_triple(e, y, w, centers_per_class=1, scale=20.0, margin=0.3)
    assert_same(one, F.cosface(e, y, w, scale=20.0, margin=0.3), e, w)


def test_gradcheck() -> None:
    e, y, w = batch(4, 3, 3, centers=3)
    assert torch.autograd.gradcheck(lambda a, b: F.soft_triple(a, y, b, centers_per_class=3), (e, w))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_equal_and_opposite_centers_stay_finite(dtype: torch.dtype) -> None:
    w = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    w = torch.cat([w, w, -w, w], dim=1).reshape(32, 5).to(dtype).requires_grad_()
    e = w.detach()[::4].clone().requires_grad_()
    loss = F.soft_triple(e, torch.arange(8), w, centers_per_class=4, scale=64.0, gamma=0.01)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(loss, e, w))


def test_autocast_does_not_reach_the_centers() -> None:
    e, y, w = batch(16, 5, 32, centers=4)
    half, centers = e.detach().bfloat16(), w.detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.soft_triple(half, y, centers, centers_per_class=4, tau=10.0)
    exact = F.soft_triple(half.double(), y, centers.double(), centers_per_class=4, tau=10.0)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)


def test_rows_must_be_a_multiple_of_the_centers() -> None:
    e, y, w = batch()
    with pytest.raises(ValueError, match="2 rows for each"):
        F.soft_triple(e, y, w, centers_per_class=2)


def test_labels_range_over_classes_and_not_over_centers() -> None:
    e, _, w = batch(4, 3, 3, centers=2)
    with pytest.raises(ValueError, match=r"outside 0\.\.2 of 3 classes"):
        F.soft_triple(e, torch.tensor([0, 1, 2, 3]), w, centers_per_class=2)


def test_the_regularizer_of_one_center_does_not_matter() -> None:
    assert SoftTriple(centers_per_class=1, gamma=3.0, tau=9.0).simplified() == SoftTriple(centers_per_class=1)
    assert SoftTriple(centers_per_class=2, tau=9.0).simplified().tau == 9.0
    e, y, w = batch()
    other = F.soft_triple(e, y, w, centers_per_class=1, gamma=3.0, tau=9.0)
    assert_same(other, F.soft_triple(e, y, w, centers_per_class=1), e, w)
