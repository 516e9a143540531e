"""The base losses against their formulas, written out in loops, and against pytorch-metric-learning."""

import math
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning import losses as pml
from torch import Tensor

from trainables.losses import functional as F

Loss = Callable[..., Tensor]
SCALES = [1.0, 23.0, 64.0]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    dot = sum((a[d] * b[d] for d in range(len(a))), torch.zeros((), dtype=a.dtype))
    return dot / (a.square().sum().sqrt() * b.square().sum().sqrt())


def cross_entropy_oracle(logit: Callable[[Tensor, Tensor], Tensor], e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    total = torch.zeros((), dtype=e.dtype)
    for i in range(len(e)):
        logits = [logit(e[i], p[c]) for c in range(len(p))]
        largest = max(float(value.detach()) for value in logits)
        total = total - logits[int(y[i])] + largest + sum((value - largest).exp() for value in logits).log()
    return total / len(e)


def norm_softmax_oracle(e: Tensor, y: Tensor, p: Tensor, *, scale: float) -> Tensor:
    return cross_entropy_oracle(lambda x, w: scale * cosine(x, w), e, y, p)


def proxy_nca_oracle(e: Tensor, y: Tensor, p: Tensor, *, scale: float) -> Tensor:
    def negative_squared_distance(x: Tensor, w: Tensor) -> Tensor:
        return -scale * (x / x.norm() - w / w.norm()).square().sum()

    return cross_entropy_oracle(negative_squared_distance, e, y, p)


def proxy_anchor_oracle(e: Tensor, y: Tensor, p: Tensor, *, scale: float, margin: float = 0.1) -> Tensor:
    positive = negative = torch.zeros((), dtype=e.dtype)
    for c in range(len(p)):
        pull = push = torch.ones((), dtype=e.dtype)
        for i in range(len(e)):
            if int(y[i]) == c:
                pull = pull + torch.exp(-scale * (cosine(e[i], p[c]) - margin))
            else:
                push = push + torch.exp(scale * (cosine(e[i], p[c]) + margin))
        positive, negative = positive + pull.log(), negative + push.log()
    return positive / len(set(y.tolist())) + negative / len(p)


PAIRS: list[tuple[Loss, Loss]] = [
    (F.norm_softmax, norm_softmax_oracle),
    (F.proxy_nca, proxy_nca_oracle),
    (F.proxy_anchor, proxy_anchor_oracle),
]
IMPLEMENTATIONS = [pair[0] for pair in PAIRS]


def batch(rows: int = 7, classes: int = 5, dim: int = 4, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Raw vectors of various lengths; the last class never occurs."""
    source = torch.Generator().manual_seed(seed)
    e = torch.randn(rows, dim, generator=source, dtype=torch.float64) * 3
    p = torch.randn(classes, dim, generator=source, dtype=torch.float64) / 2
    y = torch.arange(rows) % max(1, classes - 1)
    return e.requires_grad_(), y, p.requires_grad_()


def gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, inputs))


def assert_same(first: Tensor, second: Tensor, *inputs: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-10)
    for got, expected in zip(gradients(first, *inputs), gradients(second, *inputs), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("implementation", "oracle"), PAIRS)
def test_values_and_gradients_follow_the_formula(implementation: Loss, oracle: Loss, scale: float) -> None:
    e, y, p = batch()
    assert_same(implementation(e, y, p, scale=scale), oracle(e, y, p, scale=scale), e, p)


@pytest.mark.parametrize(("implementation", "oracle"), PAIRS)
@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (1, 3), (6, 2), (3, 40)])
def test_formula_holds_for_small_and_for_many_classes(
    implementation: Loss, oracle: Loss, rows: int, classes: int
) -> None:
    e, y, p = batch(rows, classes, seed=rows)
    assert_same(implementation(e, y, p, scale=5.0), oracle(e, y, p, scale=5.0), e, p)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_gradcheck(implementation: Loss) -> None:
    e, y, p = batch(5, 4, 3)
    assert torch.autograd.gradcheck(lambda a, b: implementation(a, y, b, scale=7.0), (e, p))


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.4])
def test_proxy_anchor_margin(margin: float) -> None:
    e, y, p = batch()
    result = F.proxy_anchor(e, y, p, scale=16.0, margin=margin)
    assert_same(result, proxy_anchor_oracle(e, y, p, scale=16.0, margin=margin), e, p)


def test_proxy_anchor_by_hand() -> None:
    """Two classes on the axes, one sample on each axis: S = [[1, 0], [0, 1]], scale 2, margin 0.5.

    Positives: log(1 + exp(-2 (1 - 0.5))) each; negatives: log(1 + exp(2 (0 + 0.5))) each. A third class at
    (-1, 0) occurs nowhere: cosines -1 and 0, its negatives are log(1 + exp(-1) + exp(1)), and it divides by 3 there.
    """
    e, y = torch.tensor([[2.0, 0.0], [0.0, 5.0]], dtype=torch.float64), torch.tensor([0, 1])
    p = torch.tensor([[3.0, 0.0], [0.0, 0.1], [-1.0, 0.0]], dtype=torch.float64)
    positive = math.log(1 + math.exp(-1))
    negative = (2 * math.log(1 + math.exp(1)) + math.log(1 + math.exp(-1) + math.exp(1))) / 3
    assert float(F.proxy_anchor(e, y, p, scale=2.0, margin=0.5)) == pytest.approx(positive + negative, abs=1e-12)


def test_norm_softmax_by_hand() -> None:
    """Cosines 0.6 and 0.8 at scale 10, the true class is the second: loss log(1 + exp(6 - 8))."""
    e, p = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    expected = math.log(1 + math.exp(-2))
    assert float(F.norm_softmax(e, torch.tensor([1]), p, scale=10.0)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [1.0, 12.0, 40.0])
def test_proxy_nca_is_norm_softmax_at_twice_the_scale(scale: float) -> None:
    e, y, p = batch()
    assert_same(F.proxy_nca(e, y, p, scale=scale), F.norm_softmax(e, y, p, scale=2 * scale), e, p)


def test_default_parameters_are_the_published_ones() -> None:
    e, y, p = batch()
    assert F.norm_softmax(e, y, p) == F.norm_softmax(e, y, p, scale=23.0)
    assert F.proxy_nca(e, y, p) == F.proxy_nca(e, y, p, scale=12.0)
    assert F.proxy_anchor(e, y, p) == F.proxy_anchor(e, y, p, scale=32.0, margin=0.1)


def test_norm_softmax_equals_pytorch_metric_learning() -> None:
    e, y, p = batch()
    oracle = pml.NormalizedSoftmaxLoss(num_classes=5, embedding_size=4, temperature=1 / 23).double()
    del oracle.W
    oracle.W = p.T
    assert_same(F.norm_softmax(e, y, p, scale=23.0), oracle(e, y), e, p)


def test_proxy_nca_equals_pytorch_metric_learning() -> None:
    e, y, p = batch()
    oracle = pml.ProxyNCALoss(num_classes=5, embedding_size=4, softmax_scale=12).double()
    del oracle.proxies
    oracle.proxies = p
    assert_same(F.proxy_nca(e, y, p, scale=12.0), oracle(e, y), e, p)


@pytest.mark.parametrize(("scale", "margin"), [(32.0, 0.1), (64.0, 0.4)])
def test_proxy_anchor_equals_pytorch_metric_learning(scale: float, margin: float) -> None:
    e, y, p = batch()
    oracle = pml.ProxyAnchorLoss(num_classes=5, embedding_size=4, margin=margin, alpha=scale).double()
    del oracle.proxies
    oracle.proxies = p
    assert_same(F.proxy_anchor(e, y, p, scale=scale, margin=margin), oracle(e, y), e, p)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_length_of_the_vectors_does_not_matter(implementation: Loss) -> None:
    e, y, p = batch()
    longer = implementation(e * torch.linspace(0.5, 9, len(e))[:, None], y, p * 100)
    torch.testing.assert_close(implementation(e, y, p), longer, rtol=1e-12, atol=1e-12)


EXTREMES = [(F.norm_softmax, {"scale": 64.0}), (F.proxy_nca, {"scale": 64.0})]
EXTREMES += [(F.proxy_anchor, {"scale": 64.0, "margin": 0.4}), (F.proxy_anchor, {"scale": 512.0, "margin": 0.4})]


@pytest.mark.parametrize(("implementation", "arguments"), EXTREMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extreme_scales_stay_finite_on_opposite_vectors(
    implementation: Loss, arguments: dict[str, float], dtype: torch.dtype
) -> None:
    """The worst case: every sample points away from its own proxy and lies on another one."""
    e = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]).to(dtype).requires_grad_()
    p = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).to(dtype).requires_grad_()
    loss = implementation(e, torch.tensor([0, 1, 1]), p, **arguments)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert float(loss.detach()) > arguments["scale"]
    assert all(gradient.isfinite().all() for gradient in gradients(loss, e, p))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_reach_the_logits(implementation: Loss, dtype: torch.dtype) -> None:
    """Half embeddings and float32 proxies under autocast give what their exact values give in float64."""
    e, y, p = batch(32, 9, 64)
    half, proxies = e.detach().to(dtype), p.detach().float()
    with torch.autocast("cpu", dtype=dtype):
        loss = implementation(half, y, proxies, scale=64.0)
    exact = implementation(half.double(), y, proxies.double(), scale=64.0)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_zero_vectors_stay_finite(implementation: Loss) -> None:
    e, p = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    loss = implementation(e, torch.tensor([0, 1]), p)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(loss, e, p))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_narrow_integer_labels(implementation: Loss) -> None:
    e, y, p = batch()
    assert implementation(e, y.int(), p) == implementation(e, y, p)


BAD: list[tuple[str, tuple[int, ...], list[int] | list[float], tuple[int, ...], str]] = [
    ("dimension", (2, 4), [0, 1], (3, 5), r"dimension D.*\[2, 4\].*\[3, 5\]"),
    ("rows", (2, 4), [0, 1, 2], (3, 4), r"rows B.*\[2, 4\], labels \[3\]"),
    ("too large", (2, 4), [0, 3], (3, 4), r"range from 0 to 3, outside 0\.\.2"),
    ("negative", (2, 4), [-100, 1], (3, 4), r"range from -100 to 1"),
    ("empty", (0, 4), [], (3, 4), "empty"),
    ("no class", (2, 4), [0, 1], (0, 4), r"proxies \[0, 4\]"),
    ("flat", (4,), [0], (3, 4), r"embeddings \[4\]"),
    ("float labels", (2, 4), [0.0, 1.0], (3, 4), "integers, not torch.float32"),
]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("e", "y", "p", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_impossible_batches_are_refused(
    implementation: Loss, e: tuple[int, ...], y: list[int], p: tuple[int, ...], message: str
) -> None:
    labels = torch.tensor(y) if y else torch.zeros(0, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        implementation(torch.randn(e), labels, torch.randn(p))
