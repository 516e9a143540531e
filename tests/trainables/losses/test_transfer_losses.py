"""The transfer losses against their formulas in loops, closed-form gradients, and numbers derived by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainables.losses import functional as F

Loss = Callable[..., Tensor]
LOSSES: list[Loss] = [F.relaxed_contrastive, F.relaxed_multi_similarity, F.rkd, F.pkt]
OPTIONS = [
    {},
    {"sigma": 3.0, "delta": 0.9},
    {"sigma": 0.1, "delta": 2.5},
    {"diagonal": "excluded"},
    {"distance_normalization": "global_mean"},
    {"distance_normalization": "global_mean", "diagonal": "excluded"},
    {"distance_normalization": "none", "delta": 4.0},
]


def vectors(rows: int = 6, dim: int = 3, teacher_dim: int = 5, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Raw vectors of various lengths."""
    source = torch.Generator().manual_seed(seed)
    e = torch.randn(rows, dim, generator=source, dtype=torch.float64) * 3
    t = torch.randn(rows, teacher_dim, generator=source, dtype=torch.float64)
    return e.requires_grad_(), t.requires_grad_()


def total(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum()


def length(vector: Tensor) -> Tensor:
    return total([value * value for value in vector]).sqrt()


def distance(a: Tensor, b: Tensor) -> Tensor:
    return total([(x - y) ** 2 for x, y in zip(a, b, strict=True)]).clamp(min=1e-12).sqrt()


def distance_rows(e: Tensor, by: str, diagonal: str) -> list[list[Tensor]]:
    count, zero = len(e), torch.zeros((), dtype=e.dtype)
    raw = [[zero if i == j else distance(e[i], e[j]) for j in range(count)] for i in range(count)]
    columns = count if diagonal == "included" else count - 1
    row_means = [total(row) / columns for row in raw]
    overall = total(row_means) / count
    divisors = {"row_mean": row_means, "global_mean": [overall] * count, "none": [zero + 1] * count}[by]
    return [[value / divisors[i] for value in raw[i]] for i in range(count)]


def relaxed_label(t: Tensor, i: int, j: int, sigma: float) -> float:
    a, b = t[i].detach() / length(t[i].detach()), t[j].detach() / length(t[j].detach())
    return math.exp(-sum(float(x - y) ** 2 for x, y in zip(a, b, strict=True)) / sigma)


def contrastive_oracle(
    e: Tensor,
    t: Tensor,
    *,
    sigma: float = 1.0,
    delta: float = 1.0,
    distance_normalization: str = "row_mean",
    diagonal: str = "included",
    labels: Tensor | None = None,
) -> Tensor:
    d = distance_rows(e, distance_normalization, diagonal)
    terms = []
    for i in range(len(e)):
        for j in range(len(e)):
            if float(d[i][j].detach()) > 0:
                w = relaxed_label(t, i, j, sigma) if labels is None else float(labels[i] == labels[j])
                gap = delta - d[i][j]
                terms.append(w * d[i][j] ** 2 + (1 - w) * (gap**2 if float(gap.detach()) > 0 else 0 * gap))
    return total(terms) / len(e)


def multi_similarity_oracle(
    e: Tensor,
    t: Tensor,
    *,
    sigma: float = 1.0,
    delta: float = 1.0,
    positive_scale: float = 1.0,
    negative_scale: float = 2.0,
    views: int = 1,
    distance_normalization: str = "row_mean",
    diagonal: str = "included",
    labels: Tensor | None = None,
) -> Tensor:
    count, d = len(e), distance_rows(e, distance_normalization, diagonal)
    rows = []
    for i in range(count):
        pull = push = torch.ones((), dtype=e.dtype)
        for j in range(count):
            if i == j:
                continue
            w = relaxed_label(t, i, j, sigma) if labels is None else float(labels[i] == labels[j])
            w = 1.0 if views == 2 and abs(i - j) == count // 2 else w
            pull = pull + w * torch.exp(positive_scale * d[i][j])
            push = push + (1 - w) * torch.exp(negative_scale * (delta - d[i][j]))
        rows.append(pull.log() / positive_scale + push.log() / negative_scale)
    return total([row for row in rows if float(row.detach()) > 0]) / sum(float(row.detach()) > 0 for row in rows)


def smooth_l1(a: Tensor, b: float) -> Tensor:
    gap = (a - b).abs()
    return 0.5 * gap**2 if float(gap.detach()) < 1 else gap - 0.5


def rkd_oracle(e: Tensor, t: Tensor, *, distance_weight: float = 1.0, angle_weight: float = 2.0) -> Tensor:
    count = len(e)

    def distances(x: Tensor) -> list[Tensor]:
        raw = [0 * x[0, 0] if i == j else distance(x[i], x[j]) for i in range(count) for j in range(count)]
        positive = [value for value in raw if float(value.detach()) > 0]
        return [value / (total(positive) / len(positive)) for value in raw]

    def angle(x: Tensor, i: int, j: int, k: int) -> Tensor:
        a, b = x[j] - x[i], x[k] - x[i]
        if float(a.detach().abs().sum()) == 0 or float(b.detach().abs().sum()) == 0:
            return 0 * x[0, 0]
        return total([p * q for p, q in zip(a, b, strict=True)]) / (length(a) * length(b))

    near = [smooth_l1(a, float(b)) for a, b in zip(distances(e), distances(t.detach()), strict=True)]
    triples = [(i, j, k) for i in range(count) for j in range(count) for k in range(count)]
    turned = [smooth_l1(angle(e, *ijk), float(angle(t.detach(), *ijk))) for ijk in triples]
    return distance_weight * total(near) / count**2 + angle_weight * total(turned) / count**3


def pkt_oracle(e: Tensor, t: Tensor, *, epsilon: float = 1e-7) -> Tensor:
    count = len(e)

    def probabilities(x: Tensor) -> list[list[Tensor]]:
        unit = [row / length(row) for row in x]
        near = [[(1 + total([p * q for p, q in zip(a, b, strict=True)])) / 2 for b in unit] for a in unit]
        return [[value / total(row) for value in row] for row in near]

    p, q = probabilities(t.detach()), probabilities(e)
    cells = [(i, j) for i in range(count) for j in range(count)]
    return total([p[i][j] * torch.log((p[i][j] + epsilon) / (q[i][j] + epsilon)) for i, j in cells]) / count**2


def assert_same(first: Tensor, second: Tensor, e: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-10)
    (got,), (expected,) = torch.autograd.grad(first, e), torch.autograd.grad(second, e)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("rows", [2, 3, 6])
@pytest.mark.parametrize(
    ("loss", "oracle"),
    [(F.relaxed_contrastive, contrastive_oracle), (F.relaxed_multi_similarity, multi_similarity_oracle)],
)
def test_relaxed_losses_follow_their_formula(loss: Loss, oracle: Loss, rows: int, options: dict[str, object]) -> None:
    e, t = vectors(rows, seed=rows)
    assert_same(loss(e, t, **options), oracle(e, t, **options), e)
    labels = torch.tensor([0, 1, 1, 0, 2, 1])[:rows]
    assert_same(loss(e, None, labels=labels, **options), oracle(e, t, labels=labels, **options), e)


@pytest.mark.parametrize("scales", [(1.0, 2.0), (3.0, 0.5), (200.0, 900.0)])
def test_multi_similarity_with_two_views(scales: tuple[float, float]) -> None:
    e, t = vectors(6)
    options = {"views": 2, "positive_scale": scales[0], "negative_scale": scales[1], "delta": 0.5}
    value = F.relaxed_multi_similarity(e, t, **options)  # type: ignore[arg-type]
    if scales[0] > 100:  # the plain exponentials of the oracle overflow
        assert torch.isfinite(torch.autograd.grad(value, e)[0]).all()
    else:
        assert_same(value, multi_similarity_oracle(e, t, **options), e)  # type: ignore[arg-type]


def test_two_views_need_an_even_number_of_rows() -> None:
    e, t = vectors(5)
    with pytest.raises(ValueError, match="even number of rows, not 5"):
        F.relaxed_multi_similarity(e, t, views=2)


@pytest.mark.parametrize("weights", [(1.0, 2.0), (25.0, 50.0), (1.0, 0.0), (0.0, 2.0)])
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_rkd_follows_its_formula(rows: int, weights: tuple[float, float]) -> None:
    e, t = vectors(rows, seed=rows)
    options = {"distance_weight": weights[0], "angle_weight": weights[1]}
    if rows == 2 and not weights[0]:  # one direction and its opposite: cosines of 1, whatever the rows
        assert F.rkd(e, t, **options).item() == pytest.approx(0, abs=1e-12)
        return
    assert_same(F.rkd(e, t, **options), rkd_oracle(e, t, **options), e)


@pytest.mark.parametrize("rows", [2, 6])
def test_pkt_follows_its_formula(rows: int) -> None:
    e, t = vectors(rows, seed=rows)
    assert_same(F.pkt(e, t), pkt_oracle(e, t), e)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck_and_no_gradient_for_the_teacher(loss: Loss) -> None:
    e, t = vectors(5)
    assert torch.autograd.gradcheck(lambda a: loss(a, t), (e,))
    loss(e, t).backward()
    assert t.grad is None


@pytest.mark.parametrize("delta", [1.0, 1.7])
def test_relaxed_contrastive_has_its_closed_form_gradient(delta: float) -> None:
    """g = 2/n (w d - (1 - w) [delta - d]+), G = g / mu - (sum_k g_ik d_ik) / (n mu), both sides of each pair."""
    e, t = vectors(7)
    n, x = len(e), e.detach()
    raw = (x[:, None] - x).square().sum(2).sqrt()
    mu = raw.mean(1, keepdim=True)
    d = raw / mu
    s = t.detach() / t.detach().norm(dim=1, keepdim=True)
    w = (-(s[:, None] - s).square().sum(2)).exp()
    g = 2 / n * (w * d - (1 - w) * (delta - d).clamp(min=0))
    g.fill_diagonal_(0)
    inner = g / mu - (g * d).sum(1, keepdim=True) / (n * mu)
    both = (inner + inner.T) / (raw + torch.eye(n))  # the differences on the diagonal are 0
    expected = (both[:, :, None] * (x[:, None] - x)).sum(1)
    (got,) = torch.autograd.grad(F.relaxed_contrastive(e, t, delta=delta), e)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("loss", [F.relaxed_contrastive, F.relaxed_multi_similarity])
def test_scale_of_the_student_does_not_matter(loss: Loss) -> None:
    e, t = vectors()
    value = loss(e, t)
    torch.testing.assert_close(loss(e * 37, t), value)
    torch.testing.assert_close(loss(e, t * 5), value)
    (gradient,) = torch.autograd.grad(value, e)
    assert (gradient * e).sum().item() == pytest.approx(0, abs=1e-12)
    assert float(gradient.norm()) > 0.01
    assert loss(e * 2, t, distance_normalization="none").item() != pytest.approx(value.item())


def test_row_means_of_distances_are_one() -> None:
    """One class: L = 1/n sum d^2. All of different classes, and no distance beyond delta: with rows that sum to n,

    1/n sum_{i != j} (delta - d)^2 = (n - 1) delta^2 - 2 n delta + 1/n sum d^2.
    """
    e, t = vectors(5)
    squares = F.relaxed_contrastive(e, t, labels=torch.zeros(5, dtype=torch.long)).item()
    repelled = F.relaxed_contrastive(e, t, labels=torch.arange(5), delta=100.0).item()
    assert repelled == pytest.approx(4 * 100.0**2 - 2 * 100.0 * 5 + squares, rel=1e-12)


def test_relaxed_contrastive_by_hand() -> None:
    """Three students on a line at 0, 3, 4 and teachers at angles 0, 90 and 180 degrees, sigma 2.

    Distances 3, 4 | 3, 1 | 4, 1 with row means 7/3, 4/3, 5/3: d = 9/7, 12/7 | 9/4, 3/4 | 12/5, 3/5. Squared teacher
    distances 2 (neighbours) and 4 (ends): w = exp(-1) and exp(-2). Below delta = 1 are 3/4 and 3/5 alone.
    """
    e = torch.tensor([[0.0], [3.0], [4.0]], dtype=torch.float64)
    t = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-7.0, 0.0]], dtype=torch.float64)
    near, far = math.exp(-1), math.exp(-2)
    first = near * (9 / 7) ** 2 + far * (12 / 7) ** 2
    second = near * ((9 / 4) ** 2 + (3 / 4) ** 2) + (1 - near) * (1 / 4) ** 2
    third = far * (12 / 5) ** 2 + near * (3 / 5) ** 2 + (1 - near) * (2 / 5) ** 2
    expected = (first + second + third) / 3
    assert float(F.relaxed_contrastive(e, t, sigma=2.0)) == pytest.approx(expected, abs=1e-12)


def test_relaxed_contrastive_with_hard_labels_by_hand() -> None:
    """The same students; rows 0 and 1 are one class, the mean without the diagonal: means 7/2, 2, 5/2."""
    e, labels = torch.tensor([[0.0], [3.0], [4.0]], dtype=torch.float64), torch.tensor([5, 5, 1])
    rows = [(6 / 7) ** 2 + 0, (3 / 2) ** 2 + (1 / 2) ** 2, 0 + (3 / 5) ** 2]  # 8/7 and 8/5 lie beyond the margin
    value = F.relaxed_contrastive(e, None, labels=labels, diagonal="excluded")
    assert float(value) == pytest.approx(sum(rows) / 3, abs=1e-12)


def test_multi_similarity_by_hand() -> None:
    """Two views of two images: students at 0, 2, 0, 2 on a line, so d is 0, 2, 0, 2 around each row's mean of 1.

    (The duplicates are 1e-6 apart, within the tolerance.) Teachers at 0, 180, 90, 90 degrees; the views 0-2 and 1-3 get
    w = 1. Other squared teacher distances: 0-1 4, 0-3 2, 1-2 2, 2-3 0.
    """
    e = torch.tensor([[0.0], [2.0], [0.0], [2.0]], dtype=torch.float64)
    t = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)

    def row(*pairs: tuple[float, float]) -> float:
        pull = 1 + sum(w * math.exp(d) for w, d in pairs)
        push = 1 + sum((1 - w) * math.exp(2 * (1 - d)) for w, d in pairs)
        return math.log(pull) + math.log(push) / 2

    ends = row((1, 0), (math.exp(-4), 2), (math.exp(-2), 2))
    middles = row((1, 0), (math.exp(-2), 2), (1, 2))
    value = F.relaxed_multi_similarity(e, t, views=2)
    assert float(value) == pytest.approx((ends + middles) / 2, abs=1e-5)


def test_rkd_by_hand() -> None:
    """Students on a line at 0, 1, 3, teachers at the corners of a triangle with sides 3, 4, 5.

    Student distances 1, 3, 2 over their mean 2; teacher 3, 5, 4 over 4: differences 1/4, 1/4, 0, each twice of nine.
    Cosines at the student's corners 1, -1, 1, at the teacher's 3/5, 0, 4/5 (right angle at the second): differences
    2/5, 1, 1/5, each twice of 27; the cosines between equal directions are 1 in both.
    """
    e = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    t = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    near = 4 * 0.5 * (1 / 4) ** 2 / 9
    turned = 2 * 0.5 * ((2 / 5) ** 2 + 1 + (1 / 5) ** 2) / 27
    assert float(F.rkd(e, t)) == pytest.approx(near + 2 * turned, abs=1e-12)


def test_pkt_by_hand() -> None:
    """Cosine 0 for the teacher, rows (1, 1/2) / (3/2); cosine 1 for the student, rows (1/2, 1/2)."""
    e = torch.tensor([[1.0, 0.0], [9.0, 0.0]], dtype=torch.float64)
    t = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    expected = (2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)) / 2
    assert float(F.pkt(e, t, epsilon=0.0)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_student_like_its_teacher(loss: Loss) -> None:
    """The baselines are 0 there, and stationary; the relaxed losses are neither."""
    e, _ = vectors()
    value = loss(e, e.detach().clone())
    (gradient,) = torch.autograd.grad(value, e)
    like = loss in (F.rkd, F.pkt)
    assert (abs(value.item()) < 1e-12, gradient.abs().max().item() < 1e-7) == (like, like)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_duplicates_are_finite_and_pull_nothing_at_each_other(loss: Loss, dtype: torch.dtype) -> None:
    e, t = vectors()
    e = e.detach().to(dtype)
    e[4] = e[1]
    e.requires_grad_()
    value = loss(e, t.to(dtype))
    (gradient,) = torch.autograd.grad(value, e)
    assert torch.isfinite(value)
    assert float(gradient.abs().max()) < 100


def test_duplicates_keep_the_clamped_distance() -> None:
    """Two pairs of duplicates at 0 and 1: mean (1e-6 + 2) / 4; hard labels of one class leave 1/n sum d^2."""
    e = torch.tensor([[0.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    mean = (1e-6 + 2) / 4
    expected = (1e-6 / mean) ** 2 + 2 * (1 / mean) ** 2
    value = F.relaxed_contrastive(e, None, labels=torch.zeros(4, dtype=torch.long))
    assert float(value) == pytest.approx(expected, abs=1e-12)
    collapsed = torch.ones(4, 2, requires_grad=True)
    value = F.relaxed_contrastive(collapsed, torch.eye(4))
    value.backward()
    assert torch.isfinite(value)
    assert collapsed.grad is not None
    assert collapsed.grad.abs().max() == 0


def test_near_duplicates_keep_their_gradient_in_single_precision() -> None:
    """Rows of length 100 that are 1e-3 apart: lengths and products would round the distance away."""
    e = torch.tensor([[100.0, 0.0], [100.0, 1e-3], [0.0, 100.0]], requires_grad=True)
    labels = torch.zeros(3, dtype=torch.long)
    (single,) = torch.autograd.grad(F.relaxed_contrastive(e, None, labels=labels), e)
    exact = e.detach().double().requires_grad_()
    (double,) = torch.autograd.grad(F.relaxed_contrastive(exact, None, labels=labels), exact)
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_and_autocast_are_computed_in_single(loss: Loss) -> None:
    e, t = (x.detach().bfloat16() for x in vectors())
    expected = loss(e.float(), t.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss(e.float(), t.float()), expected)
        value = loss(e, t)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("e", "t", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(4, 2), r"embeddings \[3, 2\], .*\[4, 2\]"),
        (torch.zeros(3), torch.zeros(3, 2), r"expected embeddings \[B, D\]"),
        (torch.zeros(1, 2), torch.zeros(1, 2), "at least two rows"),
        (torch.zeros(0, 2), torch.zeros(0, 2), "at least two rows"),
    ],
)
def test_batches_that_fit_no_formula_are_refused(loss: Loss, e: Tensor, t: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss(e, t)


def test_without_labels_a_teacher_is_needed() -> None:
    with pytest.raises(ValueError, match="teacher's embeddings are needed"):
        F.relaxed_contrastive(torch.zeros(3, 2), None)
