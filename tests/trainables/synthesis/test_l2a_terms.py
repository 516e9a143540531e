"""The terms of L2A against formulas written out in float64, and against numbers by hand."""

import math

import pytest
import torch
from torch import Tensor

from trainables.synthesis import l2a_terms as terms
from trainables.synthesis.l2a_networks import Critic


def drawn(*shape: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=source, dtype=torch.float64)


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return drawn(*shape, seed=seed).requires_grad_()


def assert_same(value: Tensor, expected: Tensor, *variables: Tensor) -> None:
    """Values and gradients to 1e-9."""
    assert value.shape == ()
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    actual = torch.autograd.grad(value, variables)
    for got, wanted in zip(actual, torch.autograd.grad(expected, variables, retain_graph=True), strict=True):
        assert wanted.abs().max() > 0
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


def cosine(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum() / (first.square().sum().sqrt() * second.square().sum().sqrt())


def naive_divergence(novel: Tensor, seen: Tensor, sharpness: float, centers: int) -> Tensor:
    total = novel.new_zeros(())
    for m, row in enumerate(novel):
        others = [*seen, *(other for c, other in enumerate(novel) if c // centers != m // centers)]
        total = total + torch.log(sum((sharpness * cosine(row, other)).exp() for other in others)) / sharpness
    return total / len(novel)


@pytest.mark.parametrize(("novel", "seen", "centers"), [(4, 5, 1), (1, 3, 1), (6, 9, 3), (3, 0, 1)])
@pytest.mark.parametrize("sharpness", [0.5, 16.0])
def test_divergence_is_the_formula(novel: int, seen: int, centers: int, sharpness: float) -> None:
    w, p = leaf(novel, 4), leaf(seen, 4, seed=1)
    value = terms.divergence(w, p, sharpness=sharpness, centers_per_class=centers)
    assert_same(value, naive_divergence(w, p, sharpness, centers), *((w, p) if seen else (w,)))


def test_divergence_by_hand() -> None:
    """Novel east and north, seen west: cosines -1 and 0 of the first, 0 and 0 of the second; lengths do not matter."""
    novel, seen = torch.tensor([[3.0, 0.0], [0.0, 0.5]]).double(), torch.tensor([[-2.0, 0.0]]).double()
    expected = (math.log(math.exp(-2) + 1) / 2 + math.log(2) / 2) / 2
    assert terms.divergence(novel, seen, sharpness=2.0).item() == pytest.approx(expected, abs=1e-12)


def test_divergence_leaves_out_the_other_centers_of_the_same_class() -> None:
    """One novel class (east, north), one seen class (north-east, west): cosines 1/sqrt 2 and -1, 1/sqrt 2 and 0."""
    novel = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    seen = torch.tensor([[1.0, 1.0], [-1.0, 0.0]]).double()
    half = math.sqrt(0.5)
    expected = (math.log(math.exp(half) + math.exp(-1)) + math.log(math.exp(half) + 1)) / 2
    value = terms.divergence(novel, seen, sharpness=1.0, centers_per_class=2)
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_divergence_of_large_sharpness_is_the_largest_cosine() -> None:
    novel, seen = drawn(1, 3), drawn(4, 3, seed=1)
    nearest = max(cosine(novel[0], other).item() for other in seen)
    assert terms.divergence(novel, seen, sharpness=1e4).item() == pytest.approx(nearest, abs=2e-4)


@pytest.mark.parametrize(("novel", "seen", "centers"), [(0, 3, 1), (1, 0, 1), (2, 0, 2)])
def test_divergence_needs_two_classes(novel: int, seen: int, centers: int) -> None:
    with pytest.raises(ValueError, match="no two classes"):
        terms.divergence(drawn(novel, 2), drawn(seen, 2), centers_per_class=centers)


def test_mode_seeking_is_the_formula() -> None:
    first, second, z1, z2 = leaf(5, 3), leaf(5, 3, seed=1), drawn(5, 2, seed=2), drawn(5, 2, seed=3)
    ratios = [(a - b).square().sum().sqrt() / math.dist(u, v) for a, b, u, v in zip(first, second, z1, z2, strict=True)]
    assert_same(terms.mode_seeking(first, second, z1, z2), -sum(ratios) / 5, first, second)
    clip = sorted(ratio.item() for ratio in ratios)[2] + 1e-6
    clipped = -sum(ratio if ratio.item() < clip else first.new_tensor(clip) for ratio in ratios) / 5
    assert_same(terms.mode_seeking(first, second, z1, z2, clip=clip), clipped, first, second)


def test_mode_seeking_by_hand() -> None:
    """Distances sqrt 2 and 2 for noise that is 5 and 1 apart."""
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    second = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    z1, z2 = torch.tensor([[3.0, 4.0], [1.0, 0.0]]).double(), torch.zeros(2, 2).double()
    value = terms.mode_seeking(first, second, z1, z2)
    assert value.item() == pytest.approx(-(math.sqrt(2) / 5 + 2) / 2, abs=1e-12)
    clipped = terms.mode_seeking(first, second, z1, z2, clip=1.0)
    assert clipped.item() == pytest.approx(-(math.sqrt(2) / 5 + 1) / 2, abs=1e-12)
    (gradient,) = torch.autograd.grad(clipped, first)  # towards (1, -1) / sqrt 2, over 5 and 2 rows; 0 where clipped
    slope = 1 / (10 * math.sqrt(2))
    expected = torch.tensor([[-slope, slope], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)


def test_mode_seeking_of_a_collapsed_class_has_a_finite_gradient() -> None:
    rows = leaf(3, 2)
    value = terms.mode_seeking(rows, rows.detach(), drawn(3, 2, seed=1), drawn(3, 2, seed=2))
    assert value.item() == 0
    assert torch.autograd.grad(value, rows)[0].isfinite().all()


def test_gradient_penalty_of_a_quadratic_critic() -> None:
    """Q(v) = v A v / 2 + b v has the gradient A v + b, with A symmetric."""
    raw, b, points = leaf(3, 3), leaf(3, seed=1), drawn(6, 3, seed=2)
    a = raw + raw.T
    value = terms.gradient_penalty(lambda v: ((v @ a) * v).sum(dim=1) / 2 + v @ b, points)
    expected = sum(((a @ v + b).square().sum().sqrt() - 1) ** 2 for v in points) / 6
    assert_same(value, expected, raw, b)


def test_gradient_penalty_of_a_linear_critic_by_hand() -> None:
    """|(3, 4)| = 5: the penalty is 16, its gradient 2 * 4 * (3, 4) / 5, wherever the points are."""
    w = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    value = terms.gradient_penalty(lambda v: v @ w, drawn(5, 2))
    assert value.item() == pytest.approx(16, abs=1e-12)
    torch.testing.assert_close(torch.autograd.grad(value, w)[0], torch.tensor([4.8, 6.4]).double())


def test_gradient_penalty_of_a_flat_critic_is_one_with_a_finite_gradient() -> None:
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    value = terms.gradient_penalty(lambda v: v @ w, drawn(5, 2))
    assert value.item() == 1
    assert torch.autograd.grad(value, w)[0].isfinite().all()


def test_gradient_penalty_of_the_network_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    critic = Critic(embedding_dim=3, width=5, depth=2).double()
    points, h = drawn(4, 3), 1e-5
    steps = h * torch.eye(3, dtype=torch.float64)
    slopes = torch.stack([(critic(points + step) - critic(points - step)) / (2 * h) for step in steps], dim=1)
    expected = (slopes.square().sum(dim=1).sqrt() - 1).square().mean()
    torch.testing.assert_close(terms.gradient_penalty(critic, points), expected, rtol=1e-7, atol=1e-7)


def test_the_points_are_on_the_segments() -> None:
    real, generated = torch.tensor([[1.0, 0.0], [2.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    points = terms.between(real, generated, torch.tensor([0.25, 1.0]))
    assert points.tolist() == [[0.25, 0.75], [2.0, 2.0]]


def test_critic_and_realism_by_hand() -> None:
    """Q(v) = 2 v: real 1 and 3 score 4 on average, generated -1 and 2 score 1."""
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    real, generated = torch.tensor([[1.0], [3.0]]).double(), torch.tensor([[-1.0], [2.0]]).double().requires_grad_()

    def critic(v: Tensor) -> Tensor:
        return weight * v.squeeze(1)

    gap = terms.critic_gap(critic, real, generated)
    assert gap.item() == 3
    assert terms.critic_objective(gap, gap.new_tensor(0.5), penalty_weight=10.0).item() == 2
    assert torch.autograd.grad(gap, weight)[0].item() == 1.5
    realism = terms.realism(critic, generated)
    assert realism.item() == -1
    assert torch.autograd.grad(realism, generated)[0].tolist() == [[-1.0], [-1.0]]


def test_a_term_of_weight_zero_is_not_computed() -> None:
    def never() -> Tensor:
        raise AssertionError("computed")

    total = terms.weighted_sum(
        {"one": lambda: torch.tensor(2.0), "two": lambda: torch.tensor(5.0), "off": never},
        {"one": 3.0, "two": 0.5, "off": 0.0},
    )
    assert total is not None
    assert total.item() == 8.5
    assert terms.weighted_sum({"off": never}, {"off": 0.0}) is None
