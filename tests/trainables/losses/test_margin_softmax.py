"""SphereFace, CosFace, ArcFace and CurricularFace against their formulas, at the ends of the angle and by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from loss_oracles import assert_same, at_angles, batch, cosine, dot, gradients, mean_cross_entropy, some_excluded
from pytorch_metric_learning import losses as pml
from torch import Tensor

from trainables.losses import functional as F
from trainables.losses.margin_softmax import CurricularFace

Loss = Callable[..., Tensor]
Target = Callable[[Tensor], Tensor]
FIRST = torch.tensor([0])


def added(c: Tensor, margin: float) -> Tensor:
    return torch.cos(torch.acos(c) + margin)


def guarded(c: Tensor, margin: float) -> Tensor:
    obtuse = float(torch.acos(c.detach())) > math.pi - margin
    return c - margin * math.sin(margin) if obtuse else added(c, margin)


def psi(c: Tensor, margin: int) -> Tensor:
    k = math.floor(margin * float(torch.acos(c.detach())) / math.pi)
    return (-1) ** k * torch.cos(margin * torch.acos(c)) - 2 * k


def replaced(
    e: Tensor, y: Tensor, p: Tensor, target: Target, *, scale: float, excluded: Tensor | None = None
) -> Tensor:
    def logit(i: int, c: int) -> Tensor:
        similarity = cosine(e[i], p[c])
        return scale * (target(similarity) if c == int(y[i]) else similarity)

    return mean_cross_entropy(logit, y, len(p), excluded)


def sphereface_oracle(e: Tensor, y: Tensor, p: Tensor, *, scale: float, margin: int) -> Tensor:
    def logit(i: int, c: int) -> Tensor:
        similarity = cosine(e[i], p[c])
        return scale * dot(e[i], e[i]).sqrt() * (psi(similarity, margin) if c == int(y[i]) else similarity)

    return mean_cross_entropy(logit, y, len(p))


def curricularface_oracle(
    e: Tensor, y: Tensor, p: Tensor, *, t: float, scale: float, margin: float, excluded: Tensor | None = None
) -> Tensor:
    def logit(i: int, c: int) -> Tensor:
        own, other = cosine(e[i], p[int(y[i])]), cosine(e[i], p[c])
        if c == int(y[i]):
            return scale * guarded(own, margin)
        hard = float(other.detach()) > float(added(own, margin).detach())
        return scale * (other * (t + other) if hard else other)

    return mean_cross_entropy(logit, y, len(p), excluded)


def angles_to_own_proxy(e: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return torch.stack([torch.acos(cosine(e[i], p[int(y[i])])) for i in range(len(y))]).detach()


@pytest.mark.parametrize("scale", [1.0, 64.0])
@pytest.mark.parametrize("margin", [0.0, 0.35, 0.9])
def test_cosface(margin: float, scale: float) -> None:
    e, y, p = batch()
    expected = replaced(e, y, p, lambda c: c - margin, scale=scale)
    assert_same(F.cosface(e, y, p, scale=scale, margin=margin), expected, e, p)


@pytest.mark.parametrize("scale", [1.0, 64.0])
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.3, 2.8])
def test_arcface_at_acute_and_obtuse_angles(margin: float, scale: float) -> None:
    e, y, p = batch(12)
    angles = angles_to_own_proxy(e, y, p)
    assert margin == 0 or ((angles > math.pi - margin).any() and (margin > 2 or (angles < math.pi - margin).any()))
    expected = replaced(e, y, p, lambda c: guarded(c, margin), scale=scale)
    assert_same(F.arcface(e, y, p, scale=scale, margin=margin), expected, e, p)


@pytest.mark.parametrize("scale", [0.5, 4.0])
@pytest.mark.parametrize("margin", [1, 2, 3, 4, 5])
def test_sphereface(margin: int, scale: float) -> None:
    e, y, p = batch(12)
    expected = sphereface_oracle(e, y, p, scale=scale, margin=margin)
    assert_same(F.sphereface(e, y, p, scale=scale, margin=margin), expected, e, p)


@pytest.mark.parametrize("t", [0.0, 0.4, -0.2])
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.3])
def test_curricularface(margin: float, t: float) -> None:
    e, y, p = batch(12)
    expected = curricularface_oracle(e, y, p, t=t, scale=20.0, margin=margin)
    assert_same(
        F.curricularface(e, y, p, t=torch.tensor(t, dtype=torch.float64), scale=20.0, margin=margin), expected, e, p
    )


def test_excluded_classes_are_left_out_of_the_sum() -> None:
    e, y, p = batch(12)
    mask = some_excluded(y, 5)
    expected = replaced(e, y, p, lambda c: guarded(c, 0.5), scale=8.0, excluded=mask)
    assert_same(F.arcface(e, y, p, scale=8.0, margin=0.5, excluded=mask), expected, e, p)
    expected = replaced(e, y, p, lambda c: c - 0.3, scale=8.0, excluded=mask)
    assert_same(F.cosface(e, y, p, scale=8.0, margin=0.3, excluded=mask), expected, e, p)
    expected = curricularface_oracle(e, y, p, t=0.3, scale=8.0, margin=0.5, excluded=mask)
    assert_same(F.curricularface(e, y, p, t=0.3, scale=8.0, margin=0.5, excluded=mask), expected, e, p)


def test_default_parameters_are_the_published_ones() -> None:
    e, y, p = batch()
    assert F.cosface(e, y, p) == F.cosface(e, y, p, scale=64.0, margin=0.35)
    assert F.arcface(e, y, p) == F.arcface(e, y, p, scale=64.0, margin=0.5)
    assert F.sphereface(e, y, p) == F.sphereface(e, y, p, scale=1.0, margin=4)
    assert F.curricularface(e, y, p, t=0.2) == F.curricularface(e, y, p, t=0.2, scale=64.0, margin=0.5)


def test_without_margin_they_are_softmax_on_cosines() -> None:
    e, y, p = batch()
    for angular in (F.cosface, F.arcface):
        assert_same(angular(e, y, p, scale=9.0, margin=0.0), F.norm_softmax(e, y, p, scale=9.0), e, p)
    assert_same(F.sphereface(e, y, p, margin=1), F.softmax(e, y, p / p.norm(dim=1, keepdim=True)), e, p)


def with_weight(oracle: Any, proxies: Tensor) -> Any:
    oracle = oracle.double()
    del oracle.W
    oracle.W = proxies.T
    oracle.cast_types = lambda dtype, device: None
    return oracle


def test_pytorch_metric_learning_agrees() -> None:
    e, y, p = batch(12)
    size = {"num_classes": 5, "embedding_size": 4}
    arc = with_weight(pml.ArcFaceLoss(**size, margin=math.degrees(0.7), scale=30), p)
    assert_same(F.arcface(e, y, p, scale=30.0, margin=0.7), arc(e, y), e, p)
    cos = with_weight(pml.CosFaceLoss(**size, margin=0.2, scale=30), p)
    assert_same(F.cosface(e, y, p, scale=30.0, margin=0.2), cos(e, y), e, p)
    sphere = with_weight(pml.SphereFaceLoss(**size, margin=4, scale=2), p)
    assert_same(F.sphereface(e, y, p, scale=2.0, margin=4), sphere(e, y), e, p)


TWO = at_angles(0.0, math.pi / 2)
"""Proxies on the two axes."""


def two_logits(own: float, other: float) -> float:
    return math.log(1 + math.exp(other - own))


def test_by_hand_at_60_degrees() -> None:
    """One row at 60 degrees of its proxy and 30 of the other: cosines 1/2 and sqrt(3)/2; length 3 for SphereFace.

    ArcFace adds 30 degrees: cos 90 = 0. SphereFace with factor 4: 240 degrees, k = 1, psi = -(-1/2) - 2 = -3/2.
    """
    e, other = 3 * at_angles(math.pi / 3), math.sqrt(3) / 2
    cos = F.cosface(e, FIRST, TWO, scale=2.0, margin=0.25)
    assert float(cos) == pytest.approx(two_logits(2 * 0.25, 2 * other), abs=1e-12)
    arc = F.arcface(e, FIRST, TWO, scale=2.0, margin=math.pi / 6)
    assert float(arc) == pytest.approx(two_logits(0.0, 2 * other), abs=1e-12)
    sphere = F.sphereface(e, FIRST, TWO, scale=0.5, margin=4)
    assert float(sphere) == pytest.approx(two_logits(1.5 * -1.5, 1.5 * other), abs=1e-12)


def test_arcface_by_hand_at_an_obtuse_angle() -> None:
    """At 150 degrees a margin of 60 would turn back to -210: instead -sqrt(3)/2 - pi/3 sqrt(3)/2; the other is 1/2."""
    loss = F.arcface(at_angles(5 * math.pi / 6), FIRST, TWO, scale=1.0, margin=math.pi / 3)
    own = -math.sqrt(3) / 2 * (1 + math.pi / 3)
    assert float(loss) == pytest.approx(two_logits(own, 0.5), abs=1e-12)


def test_curricularface_by_hand() -> None:
    """At 60 degrees with a margin of 30, a = 0: the other cosine sqrt(3)/2 is hard, times (1/4 + sqrt(3)/2)."""
    other = math.sqrt(3) / 2
    loss = F.curricularface(at_angles(math.pi / 3), FIRST, TWO, t=0.25, scale=2.0, margin=math.pi / 6)
    assert float(loss) == pytest.approx(two_logits(0.0, 2 * other * (0.25 + other)), abs=1e-12)


def test_curricularface_leaves_easy_negatives_alone() -> None:
    """At 30 degrees with a margin of 15, a = cos 45: the other cosine, 1/2, is below it."""
    loss = F.curricularface(at_angles(math.pi / 6), FIRST, TWO, t=0.25, scale=2.0, margin=math.pi / 12)
    assert float(loss) == pytest.approx(two_logits(2 * math.sqrt(0.5), 1.0), abs=1e-12)


def test_curricularface_compares_with_the_margin_as_added() -> None:
    """At 150 degrees with a margin of 60, a = cos 210 = -0.866; the target is -0.866 (1 + pi/3) = -1.773.

    A negative at 160 degrees from the row, cosine -0.94, is below a and stays, though it is above the target.
    """
    proxies = at_angles(0.0, math.radians(310))
    loss = F.curricularface(at_angles(5 * math.pi / 6), FIRST, proxies, t=0.25, scale=1.0, margin=math.pi / 3)
    own = -math.sqrt(3) / 2 * (1 + math.pi / 3)
    assert float(loss) == pytest.approx(two_logits(own, math.cos(math.radians(160))), abs=1e-12)


def test_curricularface_gradient_reaches_both_factors() -> None:
    """d/dc of c (t + c) is t + 2 c: the angle of the row moves it by that times -sin, weighted by the softmax."""
    turn = torch.tensor([math.pi / 3], dtype=torch.float64, requires_grad=True)
    e = torch.stack([turn.cos(), turn.sin()], dim=1)
    loss = F.curricularface(e, FIRST, TWO, t=0.25, scale=1.0, margin=math.pi / 6)
    (slope,) = gradients(loss, turn)
    other = math.sqrt(3) / 2
    wrong = 1 / (1 + math.exp(0.0 - other * (0.25 + other)))
    # the target is cos(turn + margin), slope -sin 90 = -1; the other is sin(turn), slope cos 60 = 1/2
    assert float(slope) == pytest.approx(wrong * ((0.25 + 2 * other) * 0.5 + 1), abs=1e-12)


@pytest.mark.parametrize("margin", [1, 2, 3, 4, 5])
def test_psi_in_every_interval(margin: int) -> None:
    """Two classes, the other proxy at a right angle out of the plane: the loss is log(1 + exp(-psi))."""
    proxies = torch.eye(3, dtype=torch.float64)[[0, 2]]
    for k in range(margin):
        angle = torch.tensor((k + 0.3) * math.pi / margin, dtype=torch.float64, requires_grad=True)
        e = torch.stack([angle.cos(), angle.sin(), angle * 0])[None]
        loss = F.sphereface(e, FIRST, proxies, margin=margin)
        value = (-1) ** k * math.cos((k + 0.3) * math.pi) - 2 * k
        assert float(loss.detach()) == pytest.approx(math.log(1 + math.exp(-value)), abs=1e-12)
        (slope,) = gradients(loss, angle)
        falling = (-1) ** k * -margin * math.sin((k + 0.3) * math.pi)
        assert falling < 0
        assert float(slope) == pytest.approx(-falling / (1 + math.exp(value)), abs=1e-9)


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_psi_is_continuous_and_ends_at_one_minus_two_m(margin: int) -> None:
    opposite = torch.tensor([[-1.0, 0.0]], dtype=torch.float64)
    assert float(F.sphereface(opposite, FIRST, TWO, margin=margin)) == pytest.approx(two_logits(1 - 2 * margin, 0.0))
    for k in range(1, margin):
        near = [F.sphereface(at_angles(k * math.pi / margin + d), FIRST, TWO, margin=margin) for d in (-1e-7, 0, 1e-7)]
        torch.testing.assert_close(near[0], near[1], rtol=0, atol=1e-6)
        torch.testing.assert_close(near[2], near[1], rtol=0, atol=1e-6)


ANGULAR: list[tuple[Loss, dict[str, Any]]] = [
    (F.sphereface, {}),
    (F.cosface, {}),
    (F.arcface, {}),
    (F.arcface, {"margin": 1.5}),
    (F.curricularface, {"t": 0.3}),
]


@pytest.mark.parametrize(("implementation", "arguments"), ANGULAR)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_finite_where_the_arc_cosine_is_not_smooth(
    implementation: Loss, arguments: dict[str, Any], dtype: torch.dtype
) -> None:
    """Rows on their proxy and opposite to it, on an axis (the cosine is exactly 1) and off it (it may exceed 1)."""
    source = torch.Generator().manual_seed(0)
    p = torch.cat([torch.eye(6)[:3], torch.randn(40, 6, generator=source)]).to(dtype)
    e, y = torch.cat([p, -p, 3 * p]).requires_grad_(), torch.arange(43).repeat(3)
    p = p.requires_grad_()
    loss = implementation(e, y, p, **arguments)
    assert loss.isfinite()
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    assert all(gradient.isfinite().all() for gradient in gradients(loss, e, p))


@pytest.mark.parametrize(("implementation", "arguments"), ANGULAR)
def test_zero_vectors_stay_finite(implementation: Loss, arguments: dict[str, Any]) -> None:
    e, p = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    loss = implementation(e, torch.tensor([0, 1]), p, **arguments)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(loss, e, p))


def test_values_at_the_ends_of_the_angle() -> None:
    """Angle 0: cos m. Angle pi: -1 - m sin m. The other proxy stands at a right angle."""
    for own, expected in [(1.0, math.cos(0.5)), (-1.0, -1 - 0.5 * math.sin(0.5))]:
        e = torch.tensor([[own, 0.0]], dtype=torch.float64)
        assert float(F.arcface(e, FIRST, TWO.round(), scale=3.0)) == pytest.approx(two_logits(3 * expected, 0.0))
        curricular = F.curricularface(e, FIRST, TWO.round(), t=0.0, scale=3.0)
        assert float(curricular) == pytest.approx(two_logits(3 * expected, 0.0))


@pytest.mark.parametrize("tilt", [0.0, 1e-8, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_arcface_gradient_stays_bounded_beside_the_proxy(tilt: float, side: float) -> None:
    """The slope of the sine is unbounded in the cosine, but not in the embedding: at most the scale, per logit."""
    e = torch.tensor([[side, tilt, 0.0]], requires_grad=True)
    p = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
    (gradient,) = gradients(F.arcface(e, FIRST, p, scale=64.0, margin=0.5), e)
    assert float(gradient.norm()) < 3 * 64


@pytest.mark.parametrize(
    ("implementation", "arguments"), [(F.arcface, {"margin": 28.6}), (F.curricularface, {"margin": -0.1, "t": 0.0})]
)
def test_margins_are_angles_in_radians(implementation: Loss, arguments: dict[str, float]) -> None:
    e, y, p = batch()
    with pytest.raises(ValueError, match="radians from 0 to pi"):
        implementation(e, y, p, **arguments)


@pytest.mark.parametrize("margin", [0, 1.5])
def test_sphereface_multiplies_by_whole_numbers(margin: Any) -> None:
    e, y, p = batch()
    with pytest.raises(ValueError, match="whole number"):
        F.sphereface(e, y, p, margin=margin)


def test_t_follows_the_target_cosine_and_is_used_in_the_same_step() -> None:
    """Cosines to the own proxy 0.6 and 1, mean 0.8: t = 0.008. Then -1: t = 0.99 * 0.008 - 0.01 = -0.00208."""
    module = CurricularFace(scale=4.0, margin=0.3).double()
    e, y = torch.tensor([[3.0, 4.0], [0.0, 2.0]], dtype=torch.float64), torch.tensor([0, 1])
    proxies = torch.eye(2, dtype=torch.float64) * 5
    loss = module(e, y, proxies)
    assert float(module.t) == pytest.approx(0.008, abs=1e-15)
    assert loss == F.curricularface(e, y, proxies, t=0.008, scale=4.0, margin=0.3)
    module(-e[1:], y[1:], proxies)
    assert float(module.t) == pytest.approx(-0.00208, abs=1e-15)


def test_t_averages_over_real_rows_alone() -> None:
    module, (e, y, p) = CurricularFace().double(), batch()
    module(e, y, p, real=2)
    mean = (cosine(e[0], p[int(y[0])]) + cosine(e[1], p[int(y[1])])) / 2
    assert float(module.t) == pytest.approx(0.01 * float(mean.detach()), abs=1e-12)


def test_t_stays_in_evaluation_and_after_a_refused_batch() -> None:
    module, (e, y, p) = CurricularFace().double(), batch()
    module(e, y, p)
    before = float(module.t)
    assert before != 0
    assert module.eval()(e, y, p) == F.curricularface(e, y, p, t=before)
    module.train()
    for rows, real in [(0, None), (7, 0), (7, 8)]:
        with pytest.raises(ValueError, match=r"empty|1 to 7"):
            module(e[:rows], y[:rows], p, real=real)
    assert float(module.t) == before


def test_t_is_part_of_the_state_and_not_trained() -> None:
    module, (e, y, p) = CurricularFace(), batch()
    module(e.float(), y, p.float())
    assert list(module.parameters()) == []
    assert list(module.state_dict()) == ["t"]
    assert not module.t.requires_grad
    assert module.t.dtype == torch.float32


def test_state_taken_before_a_step_does_not_change_with_it() -> None:
    module, (e, y, p) = CurricularFace().double(), batch()
    state = module.state_dict()
    module(e, y, p)
    assert float(state["t"]) == 0


def test_curricularface_module_gradient_treats_t_as_constant() -> None:
    module, (e, y, p) = CurricularFace(scale=20.0).double(), batch(12)
    loss = module(e, y, p)
    assert_same(loss, curricularface_oracle(e, y, p, t=float(module.t), scale=20.0, margin=0.5), e, p)
