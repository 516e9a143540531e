"""Proxy Synthesis against its formula: by hand, in loops, in values and gradients, and at its edges."""

import math

import pytest
import torch
from torch import Tensor

from trainables.classes import Classes
from trainables.losses import functional as F
from trainables.synthesis import functional as S
from trainables.synthesis.functional import mix_pairs
from trainables.synthesis.pairs import choose_pairs

LOSSES = [F.norm_softmax, F.proxy_nca, F.proxy_anchor]


def batch(labels: list[int], classes: int = 4, dim: int = 3, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    e = torch.randn(len(labels), dim, generator=source, dtype=torch.float64) * 2
    p = torch.randn(classes, dim, generator=source, dtype=torch.float64) / 3
    return e.requires_grad_(), torch.tensor(labels), p.requires_grad_()


def length(v: list[Tensor]) -> Tensor:
    return sum((x * x for x in v), torch.zeros((), dtype=torch.float64)).sqrt()


def oracle(e: Tensor, y: Tensor, p: Tensor, *, ratio: float, weight: float) -> tuple[Tensor, list[int], Tensor]:
    """The published computation, number by number."""

    def unit(v: list[Tensor]) -> list[Tensor]:
        return [x / length(v) for x in v]

    def mixed(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        return unit([weight * s + (1 - weight) * t for s, t in zip(a, b, strict=True)])

    rows, proxies = [unit(list(v)) for v in e], [unit(list(v)) for v in p]
    labels, classes, size = y.tolist(), len(p), len(y)
    for i in range(int(ratio * size)):
        j = i - 1 if i > 0 else size - 1
        rows.append(mixed(rows[i], rows[j]))
        proxies.append(mixed(proxies[labels[i]], proxies[labels[j]]))
        labels.append(classes + i)
    return (torch.stack([torch.stack(v) for v in rows]), labels, torch.stack([torch.stack(v) for v in proxies]))


def test_by_hand() -> None:
    """Two orthogonal samples, weight 3/7, so that mixtures are multiples of (3, 4) and (4, 3).

    x_0 = (1, 0), x_1 = (0, 1). Pair 0 is (0, 1): 3/7 x_0 + 4/7 x_1 = (3, 4)/7, normalized (0.6, 0.8). Pair 1 is
    (1, 0): 3/7 x_1 + 4/7 x_0 = (4, 3)/7, normalized (0.8, 0.6). Labels 1 and 0: p_1 = (-1, 0), p_0 = (0, 1), hence
    p'_0 = 3/7 p_1 + 4/7 p_0 = (-3, 4)/7 -> (-0.6, 0.8) and p'_1 = 3/7 p_0 + 4/7 p_1 = (-4, 3)/7 -> (-0.8, 0.6).
    C = 2, so the synthetic labels are 2 and 3. The first real row at scale 1 has the cosines 0, -1, -0.6, -0.8.
    """
    e = torch.tensor([[2.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
    p = torch.tensor([[0.0, 0.1], [-3.0, 0.0]], dtype=torch.float64)
    rows, labels, proxies = S.proxy_synthesis(e, torch.tensor([1, 0]), p, ratio=1.0, mixing_weight=3 / 7)
    exactly = {"rtol": 0, "atol": 1e-15}
    expected_rows = torch.tensor([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], dtype=torch.float64)
    expected_proxies = torch.tensor([[0, 1], [-1, 0], [-0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(rows, expected_rows, **exactly)
    torch.testing.assert_close(proxies, expected_proxies, **exactly)
    assert labels.tolist() == [1, 0, 2, 3]
    first = math.log(math.exp(0) + math.exp(-1) + math.exp(-0.6) + math.exp(-0.8)) + 1
    assert float(F.norm_softmax(rows[:1], labels[:1], proxies, scale=1.0)) == pytest.approx(first, abs=1e-14)


def test_three_samples_by_hand() -> None:
    """Half of 3 is 1 pair, sample 0 with its predecessor, the last: (1, 0) and (0, -1) halfway is (1, -1)/sqrt(2)."""
    e = torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.0, -4.0]], dtype=torch.float64)
    rows, labels, proxies = S.proxy_synthesis(e, torch.tensor([2, 0, 1]), torch.eye(3, 2).double(), ratio=0.5)
    assert labels.tolist() == [2, 0, 1, 3]
    torch.testing.assert_close(rows[3], torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2))
    # classes 2 and 1: p_2 is the zero vector, p_1 = (0, 1)
    torch.testing.assert_close(proxies[3], torch.tensor([0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 1, 3, 1, 0, 2], [2, 2], [1], [3, 1, 1, 1, 1, 0]])
@pytest.mark.parametrize(("ratio", "weight"), [(1.0, 0.5), (1.0, 0.93), (0.5, 0.2), (0.0, 0.4), (1.0, 1.0)])
def test_outputs_follow_the_formula(labels: list[int], ratio: float, weight: float) -> None:
    e, y, p = batch(labels)
    rows, targets, proxies = S.proxy_synthesis(e, y, p, ratio=ratio, mixing_weight=weight)
    expected_rows, expected_targets, expected_proxies = oracle(e, y, p, ratio=ratio, weight=weight)
    torch.testing.assert_close(rows, expected_rows, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(proxies, expected_proxies, rtol=1e-12, atol=1e-12)
    assert targets.tolist() == expected_targets


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ratio", [0.25, 1.0])
def test_losses_and_gradients_follow_the_formula(loss, ratio: float) -> None:  # type: ignore[no-untyped-def]
    e, y, p = batch([0, 0, 1, 3, 1, 0, 2, 2])
    got = loss(*S.proxy_synthesis(e, y, p, ratio=ratio, mixing_weight=0.7), scale=9.0)
    rows, targets, proxies = oracle(e, y, p, ratio=ratio, weight=0.7)
    expected = loss(rows, torch.tensor(targets), proxies, scale=9.0)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    for first, second in zip(torch.autograd.grad(got, (e, p)), torch.autograd.grad(expected, (e, p)), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck(loss) -> None:  # type: ignore[no-untyped-def]
    e, y, p = batch([0, 1, 1, 3])
    assert torch.autograd.gradcheck(
        lambda a, b: loss(*S.proxy_synthesis(a, y, b, ratio=0.75, mixing_weight=0.3), scale=5.0), (e, p)
    )


def test_nothing_is_detached() -> None:
    """The first pair is samples 0 and 2, of classes 0 and 1: its row and its proxy reach both of each."""
    e, y, p = batch([0, 2, 1])
    rows, _, proxies = S.proxy_synthesis(e, y, p, ratio=1.0, mixing_weight=0.6)
    to_rows = torch.autograd.grad(rows[3].sum(), e, retain_graph=True)[0]
    to_proxies = torch.autograd.grad(proxies[4].sum(), p)[0]
    assert to_rows.abs().sum(dim=1).gt(0).tolist() == [True, False, True]
    assert to_proxies.abs().sum(dim=1).gt(0).tolist() == [True, True, False, False]


def test_every_row_has_unit_length() -> None:
    e, y, p = batch([0, 1, 2, 3, 1])
    rows, _, proxies = S.proxy_synthesis(e, y, p, ratio=2.0, mixing_weight=0.4)
    for vectors in (rows, proxies):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors), dtype=torch.float64))


@pytest.mark.parametrize(
    ("size", "ratio", "count", "expected"),
    [(5, 0.1, 0, 0), (5, 1.0, 5, 5), (5, 2.5, 12, 5), (1, 1.0, 1, 1), (7, 0.5, 3, 3), (100, 0.29, 29, 29)],
)
def test_counts(size: int, ratio: float, count: int, expected: int) -> None:
    """The single count, and what the released code makes of it (no more than the batch)."""
    e, y, p = batch([i % 4 for i in range(size)])
    rows, labels, proxies = S.proxy_synthesis(e, y, p, ratio=ratio)
    assert (len(rows), len(labels), len(proxies)) == (size + count, size + count, 4 + count)
    rows, labels, proxies = S.proxy_synthesis(e, y, p, ratio=ratio, count="official")
    assert (len(rows), len(labels)) == (size + expected, size + expected)
    assert len(proxies) == 4 + expected


def test_official_rounding_gives_a_proxy_without_a_row() -> None:
    e, y, p = batch([i % 4 for i in range(100)])
    rows, _, proxies = S.proxy_synthesis(e, y, p, ratio=0.13, count="official")
    assert (len(rows), len(proxies)) == (112, 17)


def test_shared_class_of_a_class_pair() -> None:
    """A B A B: the class pairs (A, B), (B, A), (A, B), (B, A) give two synthetic classes, not four."""
    e, y, p = batch([0, 1, 0, 1], classes=2)
    rows, labels, proxies = S.proxy_synthesis(e, y, p, mixing_weight=0.3, synthetic_classes="class_pair")
    assert labels.tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
    assert len(proxies) == 4
    separate_rows, _, separate_proxies = S.proxy_synthesis(e, y, p, mixing_weight=0.3)
    assert torch.equal(rows, separate_rows)
    assert torch.equal(proxies[2:], separate_proxies[2:4])
    assert torch.equal(separate_proxies[2:4], separate_proxies[4:6])


def test_dropped_pairs_of_one_class() -> None:
    e, y, p = batch([1, 1], classes=2)
    rows, labels, proxies = S.proxy_synthesis(e, y, p)
    torch.testing.assert_close(proxies[2], proxies[1])
    assert labels.tolist() == [1, 1, 2, 3]
    for same_class in ("drop", "repair"):
        rows, labels, proxies = S.proxy_synthesis(e, y, p, same_class=same_class)
        assert (len(rows), labels.tolist(), len(proxies)) == (2, [1, 1], 2)


def test_repaired_pairs() -> None:
    """A A B B: the predecessors of 1 and 3 are of their own class; after one exchange of partners all pairs mix."""
    e, y, p = batch([0, 0, 1, 1], classes=2)
    rows, _, _ = S.proxy_synthesis(e, y, p, mixing_weight=0.8, same_class="repair")
    x = torch.nn.functional.normalize(e, dim=1)
    partners = [3, 2, 1, 0]
    expected = torch.nn.functional.normalize(0.8 * x + 0.2 * x[partners], dim=1)
    torch.testing.assert_close(rows[4:], expected)


def test_centers_are_mixed_one_by_one() -> None:
    e, y, p = batch([0, 1, 1], classes=4)
    _, _, proxies = S.proxy_synthesis(e, y, p, ratio=0.7, mixing_weight=0.6, centers_per_class=2)
    unit = torch.nn.functional.normalize
    x = unit(p, dim=1)
    # pair 0 is (0, 2), of classes 0 and 1; pair 1 is (1, 0), of classes 1 and 0; class c has the rows 2c and 2c + 1
    expected = torch.stack(
        [0.6 * x[0] + 0.4 * x[2], 0.6 * x[1] + 0.4 * x[3], 0.6 * x[2] + 0.4 * x[0], 0.6 * x[3] + 0.4 * x[1]]
    )
    torch.testing.assert_close(proxies, torch.cat([x, unit(expected, dim=1)]))


def test_classes_with_a_bias_are_mixed_raw() -> None:
    e, y, p = batch([0, 1], classes=2)
    bias = torch.tensor([1.0, -3.0], dtype=torch.float64)
    rows, labels, classes = mix_pairs(e, y, Classes(p, bias), choose_pairs(y, 2), mixing_weight=0.75)
    torch.testing.assert_close(rows, torch.cat([e, 0.75 * e + 0.25 * e.flip(0)]))
    torch.testing.assert_close(classes.weights, torch.cat([p, 0.75 * p + 0.25 * p.flip(0)]))
    assert classes.bias is not None
    torch.testing.assert_close(classes.bias, torch.tensor([1.0, -3.0, 0.0, -2.0], dtype=torch.float64))
    assert labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("weight", [0.5, 0.499, 1.0, 0.0])
def test_opposite_vectors_stay_finite(loss, dtype: torch.dtype, weight: float) -> None:  # type: ignore[no-untyped-def]
    """The mixture of opposite vectors has length zero, or next to it."""
    e = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [-0.9, 0.1]]).to(dtype).requires_grad_()
    p = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    rows, labels, proxies = S.proxy_synthesis(e, torch.tensor([0, 1, 1]), p, mixing_weight=weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(rows, labels, proxies, scale=64.0)
    assert rows.dtype == proxies.dtype == value.dtype == torch.float32
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, (e, p)))


def test_half_embeddings_are_mixed_in_single_precision() -> None:
    e, y, p = batch([0, 1, 2, 1], dim=32)
    half = e.detach().bfloat16()
    rows, _, _ = S.proxy_synthesis(half, y, p.float(), mixing_weight=0.3)
    exact, _, _ = S.proxy_synthesis(half.double(), y, p, mixing_weight=0.3)
    torch.testing.assert_close(rows.double(), exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"ratio": -1.0}, "ratio"), ({"mixing_weight": 1.5}, "mixing_weight"), ({"centers_per_class": 3}, "3 rows")],
)
def test_impossible_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    e, y, p = batch([0, 1])
    with pytest.raises(ValueError, match=message):
        S.proxy_synthesis(e, y, p, **arguments)  # type: ignore[arg-type]


def test_impossible_batches_are_refused() -> None:
    e, y, p = batch([0, 1])
    with pytest.raises(ValueError, match="dimension D"):
        S.proxy_synthesis(e[:, :2], y, p)
    with pytest.raises(ValueError, match="empty"):
        S.proxy_synthesis(e[:0], y[:0], p)
    with pytest.raises(ValueError, match=r"outside 0\.\.3"):
        S.proxy_synthesis(e, y + 3, p)
