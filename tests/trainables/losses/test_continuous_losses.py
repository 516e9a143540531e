"""Losses on label distances against loops over pairs, numbers by hand, closed-form gradients, and their refusals."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.losses import functional as F

ANGLES = {"name": "image_folder", "path": "a.zip", "target_columns": ["angle"], "target_period": 360}


def batch(rows: int, dim: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """[1 + rows, dim] embeddings and ascending label distances [rows], with a tie."""
    random = np.random.default_rng(seed)
    distances = np.sort(random.uniform(0.5, 9, rows))
    distances[rows // 2] = distances[rows // 2 - 1]
    return torch.from_numpy(random.normal(size=(rows + 1, dim))).requires_grad_(), torch.from_numpy(distances)


def log_ratio_by_pairs(e: Tensor, g: Tensor, *, power: int = 1, min_distance: float = 0.0) -> Tensor:
    def log_distance(i: int) -> Tensor:
        squared = sum((e[0, d] - e[i + 1, d]) ** 2 for d in range(e.shape[1])) + 1e-4 / e.shape[1]
        return torch.log((squared if power == 2 else torch.sqrt(squared)) + 1e-6)

    def log_label(i: int) -> float:
        return math.log(max(float(g[i]), min_distance) + 1e-6)

    pairs = [(i, j) for i in range(len(g)) for j in range(i + 1, len(g))]
    terms = [(log_distance(i) - log_distance(j) - (log_label(i) - log_label(j))) ** 2 for i, j in pairs]
    return torch.stack(terms).mean()


def squared_unit_distances(e: Tensor) -> list[Tensor]:
    unit = [row / torch.sqrt((row**2).sum()) for row in e]
    return [((unit[0] - row) ** 2).sum() + 1e-4 / e.shape[1] for row in unit[1:]]


def dense_triplet_by_pairs(e: Tensor, g: Tensor, *, margin: float) -> Tensor:
    q = squared_unit_distances(e)
    terms = [q[i] - q[j] + margin for i in range(len(q)) for j in range(i + 1, len(q))]
    return torch.stack([torch.clamp(term, min=1e-12) for term in terms]).mean()


def naive_triplet_by_pairs(e: Tensor, g: Tensor, *, positives: int, margin: float) -> Tensor:
    q = squared_unit_distances(e)
    terms = [q[p] - q[n] + margin for p in range(positives) for n in range(positives, len(q))]
    return torch.stack([torch.clamp(term, min=1e-12) for term in terms]).mean()


CASES: list[tuple[Any, Any, dict[str, Any], dict[str, Any]]] = [
    (F.log_ratio, log_ratio_by_pairs, {}, {}),
    (F.log_ratio, log_ratio_by_pairs, {"embedding_power": 2}, {"power": 2}),
    (F.log_ratio, log_ratio_by_pairs, {"min_distance": 3.0}, {"min_distance": 3.0}),
    (F.dense_triplet, dense_triplet_by_pairs, {}, {"margin": 0.03}),
    (F.dense_triplet, dense_triplet_by_pairs, {"margin": 0.5}, {"margin": 0.5}),
    (F.naive_triplet, naive_triplet_by_pairs, {}, {"positives": 5, "margin": 0.2}),
    (F.naive_triplet, naive_triplet_by_pairs, {"positives": 2, "margin": 1.0}, {"positives": 2, "margin": 1.0}),
]


@pytest.mark.parametrize(("rows", "dim"), [(9, 4), (6, 1), (21, 16)])
@pytest.mark.parametrize(("loss", "by_pairs", "arguments", "naive_arguments"), CASES)
def test_equals_the_loop_over_pairs_in_value_and_gradient(
    loss: Any, by_pairs: Any, arguments: dict[str, Any], naive_arguments: dict[str, Any], rows: int, dim: int
) -> None:
    e, g = batch(rows, dim, seed=rows)
    (gradient,) = torch.autograd.grad(value := loss(e, g, **arguments), e)
    (expected,) = torch.autograd.grad(naive := by_pairs(e, g, **naive_arguments), e)
    assert value.item() == pytest.approx(naive.item(), abs=1e-9, rel=1e-12)
    assert torch.allclose(gradient, expected, rtol=0, atol=1e-9)
    assert gradient.abs().max() > 1e-4 or dim == 1, "a constant would pass too"


@pytest.mark.parametrize(("loss", "arguments"), [(loss, arguments) for loss, _, arguments, _ in CASES])
def test_gradients_pass_a_numerical_check(loss: Any, arguments: dict[str, Any]) -> None:
    e, g = batch(8, 3, seed=5)
    assert torch.autograd.gradcheck(lambda x: loss(x, g, **arguments), (e,))


def test_log_ratio_by_hand() -> None:
    """On a line, at 1, 2 and 4 from the anchor with labels 1, 1 and 2: u = log 1, log 2, log 2.

    Two of three pairs differ, each by log 2; with squared distances u = log 1, log 4, log 8.
    """
    e, g = torch.tensor([[0.0], [1.0], [-2.0], [4.0]], dtype=torch.float64), torch.tensor([1.0, 1.0, 2.0]).double()
    two = math.log(2)
    assert F.log_ratio(e, g).item() == pytest.approx(2 / 3 * two**2, abs=1e-4)
    assert F.log_ratio(e, g, embedding_power=2).item() == pytest.approx((4 + 9 + 1) / 3 * two**2, abs=1e-3)
    exact = [math.log(math.sqrt(d * d + 1e-4) + 1e-6) - math.log(label + 1e-6) for d, label in [(1, 1), (2, 1), (4, 2)]]
    pairs = [(exact[0] - exact[1]) ** 2, (exact[0] - exact[2]) ** 2, (exact[1] - exact[2]) ** 2]
    assert F.log_ratio(e, g).item() == pytest.approx(sum(pairs) / 3, abs=1e-12)


def test_dense_triplet_by_hand() -> None:
    """At 0, 60 and 90 degrees from the anchor the squared distances are 0, 1 and 2; all pairs are in order.

    With labels the other way round, the ordered list is 2, 1, 0: violations 1, 2 and 1, each plus the margin.
    """
    e = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2], [0.0, 3.0]], dtype=torch.float64)
    assert F.dense_triplet(e, torch.tensor([1.0, 2.0, 3.0])).item() == pytest.approx(1e-12, rel=1e-6)
    assert F.dense_triplet(e, torch.tensor([3.0, 2.0, 1.0])).item() == pytest.approx(4 / 3 + 0.03, abs=1e-12)
    assert F.dense_triplet(e, torch.tensor([1.0, 2.0, 3.0]), margin=1.5).item() == pytest.approx(1 / 3, abs=1e-12), (
        "0 - 1 + 1.5 and 1 - 2 + 1.5 count, 0 - 2 + 1.5 does not, and all three are averaged"
    )


def test_naive_triplet_by_hand() -> None:
    """The squared distances 1 (positive) against 0 and 2 (negatives), margin 0.2: 1.2 and 0."""
    e = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(3) / 2], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert F.naive_triplet(e, torch.tensor([1.0, 5.0, 6.0]), positives=1).item() == pytest.approx(0.6, abs=1e-9)


def test_gradient_of_log_ratio_in_closed_form() -> None:
    """dL/du_i = 4 / (M - 1) (u_i - mean u), dL/dp_i = dL/du_i (p_i - a) / ((e_i + 1e-6) e_i), the anchor their sum."""
    e, g = batch(7, 5, seed=2)
    (gradient,) = torch.autograd.grad(F.log_ratio(e, g), e)
    with torch.no_grad():
        difference = e[1:] - e[0]
        distance = ((difference**2).sum(1) + 1e-4 / 5).sqrt()
        u = (distance + 1e-6).log() - (g + 1e-6).log()
        du = 4 / 6 * (u - u.mean())
        rows = (du / ((distance + 1e-6) * distance))[:, None] * difference
    assert torch.allclose(gradient[1:], rows, rtol=0, atol=1e-12)
    assert torch.allclose(gradient[0], -rows.sum(0), rtol=0, atol=1e-12)


def test_a_label_distance_of_zero_outweighs_all_others_unless_it_is_clipped() -> None:
    e, g = batch(10, 4, seed=3)
    with_zero = torch.cat([torch.zeros(1, dtype=torch.float64), g[1:]])
    assert F.log_ratio(e, with_zero) > 20 * F.log_ratio(e, g), "log(1e-6) is -13.8"
    clipped = F.log_ratio(e, with_zero, min_distance=0.25)
    assert clipped.item() == F.log_ratio(e, torch.cat([torch.full((1,), 0.25), g[1:]])).item()
    assert clipped < 3 * F.log_ratio(e, g)


def test_rows_that_coincide_with_the_anchor_have_finite_values_and_gradients() -> None:
    e = torch.zeros(4, 3, requires_grad=True)
    for loss in (F.log_ratio, F.dense_triplet, lambda e, g: F.naive_triplet(e, g, positives=1)):
        value = loss(e, torch.tensor([1.0, 2.0, 3.0]))
        (gradient,) = torch.autograd.grad(value, e)
        assert value.isfinite() and gradient.isfinite().all()


def test_log_ratio_does_not_see_the_order_of_rows_nor_the_scale_of_labels() -> None:
    e, g = batch(9, 4, seed=4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    shuffled = torch.cat([e[:1], e[1:][order]])
    assert F.log_ratio(shuffled, g[order]).item() == pytest.approx(F.log_ratio(e, g).item(), abs=1e-12)
    assert F.log_ratio(e, 7 * g).item() == pytest.approx(F.log_ratio(e, g).item(), abs=1e-5)
    perfect = torch.cat([torch.zeros(1, 1).double(), 1000 * g[:, None]])
    assert F.log_ratio(perfect, g).item() == pytest.approx(0, abs=1e-9), "distances in proportion to the labels'"
    assert F.log_ratio(perfect.sqrt(), g, embedding_power=2).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("loss", [F.dense_triplet, lambda e, g: F.naive_triplet(e, g, positives=3)])
def test_triplets_follow_the_labels_and_not_the_order_of_rows(loss: Any) -> None:
    e, g = batch(9, 4, seed=6)
    g = torch.arange(1, 10).double()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    shuffled = torch.cat([e[:1], e[1:][order]])
    assert loss(shuffled, g[order]).item() == pytest.approx(loss(e, g).item(), abs=1e-12)


@pytest.mark.parametrize("loss", [F.log_ratio, F.dense_triplet, F.naive_triplet])
def test_half_precision_is_computed_in_float32(loss: Any) -> None:
    e, g = batch(12, 8, seed=7)
    half = e.detach().bfloat16()
    assert loss(half, g).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(half, g).item() == loss(half.float(), g).item()


@pytest.mark.parametrize(("loss", "rows"), [(F.log_ratio, 1), (F.dense_triplet, 1), (F.naive_triplet, 5)])
def test_rows_that_form_no_triplet_cost_nothing(loss: Any, rows: int) -> None:
    e, g = batch(6, 3)
    value = loss(e[: rows + 1], g[:rows])
    (gradient,) = torch.autograd.grad(value, e)
    assert value.item() == 0 and not gradient.any()


@pytest.mark.parametrize(
    ("e", "g", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(3), r"\[1 \+ M, D\]"),
        (torch.zeros(3), torch.zeros(2), r"\[1 \+ M, D\]"),
        (torch.zeros(1, 2), torch.zeros(0), "an anchor and other rows"),
        (torch.zeros(0, 2), torch.zeros(0), r"\[1 \+ M, D\]"),
        (torch.zeros(4, 2), torch.ones(3, dtype=torch.int64), "real numbers"),
        (torch.zeros(4, 2), torch.tensor([1.0, -1.0, 1.0]), "not negative"),
        (torch.zeros(4, 2), torch.tensor([1.0, math.nan, 1.0]), "not NaN"),
    ],
)
def test_refuses_batches_that_fit_no_formula(e: Tensor, g: Tensor, message: str) -> None:
    for loss in (F.log_ratio, F.dense_triplet, lambda e, g: F.naive_triplet(e, g, positives=1)):
        with pytest.raises(ValueError, match=message):
            loss(e, g)


def test_refuses_impossible_parameters() -> None:
    e, g = batch(4, 2)
    with pytest.raises(ValueError, match="1 or 2, not 3"):
        F.log_ratio(e, g, embedding_power=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one positive"):
        F.naive_triplet(e, g, positives=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "glyphs"}, r"dataset 'glyphs' has classes only; .* dataset.target_columns"),
        ({"sampler": "shuffled"}, "set sampler: dense"),
        ({"synthesis": "input_mixup"}, "leave it out"),
        ({"synthesis": "proxy_synthesis"}, "log_ratio"),
        ({"training": {"batch_size": 6}}, "at least .*, it is 6"),
        ({"loss": "naive_triplet", "sampler": {"name": "dense", "nearest": 4}}, "takes the 5 nearest .* draws 4"),
    ],
)
def test_a_run_that_cannot_have_label_distances_is_refused_with_the_remedy(
    change: dict[str, Any], message: str
) -> None:
    run = {"dataset": ANGLES, "loss": "log_ratio", "sampler": "dense"}
    RunConfig.model_validate(run)
    with pytest.raises(ValueError, match=message):
        RunConfig.model_validate({**run, **change})


def test_losses_on_classes_may_be_used_on_data_with_continuous_labels() -> None:
    run = RunConfig.model_validate({"dataset": ANGLES, "loss": "proxy_anchor", "protocol": {"select_by": "ndcg_at_10"}})
    assert run.loss.target == "class"
