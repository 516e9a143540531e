"""MemVir against its formula over a whole training, with any loss."""

import pytest
import torch
from memvir_problem import built
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.losses.config import LossConfig, NormSoftmax, ProxyAnchor
from trainables.losses.softmax_config import CurricularFace, Softmax, SoftTriple
from trainables.step import Step
from trainables.synthesis import functional as S

SIZES = [5, 5, 5, 2, 5, 5, 1]
"""Batch sizes of an epoch; some are short."""


def batches(count: int, *, classes: int, dim: int) -> list[tuple[Tensor, Tensor]]:
    source = torch.Generator().manual_seed(0)
    sizes = [SIZES[index % len(SIZES)] for index in range(count)]
    return [
        (
            torch.randn(size, dim, generator=source, dtype=torch.float64).requires_grad_(),
            torch.randint(classes, (size,), generator=source),
        )
        for size in sizes
    ]


def naive(x: Tensor, y: Tensor, w: Tensor, past: list[tuple[Tensor, Tensor, Tensor]], scale: float) -> Tensor:
    """Mean over all rows i of -s S[i, y_i] + log sum_c exp(s S[i, c]), number by number, past values as constants."""
    rows, labels, proxies = list(x), y.tolist(), list(w)
    for block, (embeddings, targets, weights) in enumerate(past, start=1):
        rows += list(embeddings)
        labels += [target + block * len(w) for target in targets.tolist()]
        proxies += list(weights)
    total = torch.zeros((), dtype=torch.float64)
    for row, label in zip(rows, labels, strict=True):
        cosine = [row @ proxy / (row.norm() * proxy.norm()) for proxy in proxies]
        logsum = torch.stack([(scale * value).exp() for value in cosine]).sum().log()
        total = total + logsum - scale * cosine[label]
    return total / len(rows)


@pytest.mark.parametrize(("steps", "gap"), [(1, 0), (3, 2), (4, 0), (2, 5)])
def test_thirty_steps_against_the_formula(steps: int, gap: int) -> None:
    """Values, and gradients into the present embeddings and weights, while gradient descent moves the weights."""
    synthesis, base = built(NormSoftmax(scale=7.0), classes=3, dim=4, steps=steps, gap=gap)
    assert base.proxies is not None
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, (x, y) in enumerate(batches(30, classes=3, dim=4)):
        w = base.proxies.detach().clone().requires_grad_()
        ages = [k * (gap + 1) for k in range(1, steps + 1) if k * (gap + 1) <= len(history)]
        expected = naive(x, y, w, [history[-age] for age in ages], 7.0)
        loss = synthesis.loss(base, Batch(x, y, base.classes), Step(0, number // 7, number % 7))
        assert loss.item() == pytest.approx(expected.item(), abs=1e-9)
        got = torch.autograd.grad(loss, (x, base.proxies))
        for first, second in zip(got, torch.autograd.grad(expected, (x, w)), strict=True):
            torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)
        history.append((x.detach(), y, w.detach()))
        with torch.no_grad():
            base.proxies.sub_(0.3 * got[1])
    assert len(synthesis.queue) == min(30, steps * (gap + 1))


@pytest.mark.parametrize("loss", [ProxyAnchor(), SoftTriple(centers_per_class=3), CurricularFace(), Softmax()])
@pytest.mark.parametrize("reduction", ["mean_all", "mean_current"])
def test_any_loss_on_the_concatenated_step(loss: LossConfig, reduction: str) -> None:
    """Blocks of C * K rows; raw embeddings and biases for plain softmax; a running average of present rows alone."""
    synthesis, base = built(loss, classes=3, dim=4, steps=2, gap=1, reduction=reduction)
    _, reference = built(loss, classes=3, dim=4)
    source = torch.Generator().manual_seed(1)
    history: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for index, (x, y) in enumerate(batches(12, classes=3, dim=4)):
        with torch.no_grad():
            for parameter in base.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=source, dtype=torch.float64), alpha=0.2)
        assert base.classes is not None
        weights = base.classes.weights.detach().clone()
        bias = torch.zeros(3).double() if base.classes.bias is None else base.classes.bias.detach().clone()
        past = [history[-age] for age in (2, 4) if age <= len(history)]
        classes = Classes(
            torch.cat([weights, *(entry[2] for entry in past)]),
            torch.cat([bias, *(entry[3] for entry in past)]) if loss.has_bias else None,
            loss.centers,
        )
        labels = torch.cat([y, *(entry[1] + 3 * k for k, entry in enumerate(past, start=1))])
        rows = torch.cat([x, *(entry[0] for entry in past)])
        factor = len(rows) / len(x) if reduction == "mean_current" else 1
        expected = factor * reference(Batch(rows, labels, classes, real=len(x)))
        got = synthesis.loss(base, Batch(x, y, base.classes), Step(0, 0, index))
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
        first, second = torch.autograd.grad(got, x)[0], torch.autograd.grad(expected, x)[0]
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)
        history.append((x.detach(), y, weights, bias))


def test_pure_function_repeats_the_part() -> None:
    synthesis, base = built(NormSoftmax(), classes=3, dim=4, steps=2, gap=2)
    assert base.proxies is not None
    stored = []
    for index, (x, y) in enumerate(batches(9, classes=3, dim=4)):
        rows, labels, proxies = S.memvir(x, y, base.proxies, stored, steps=2, gap=2)
        enlarged = synthesis.enlarge(Batch(x, y, base.classes), Step(0, 0, index))
        assert enlarged.classes is not None
        for first, second in [
            (rows, enlarged.embeddings),
            (labels, enlarged.labels),
            (proxies, enlarged.classes.weights),
        ]:
            assert torch.equal(first, second)
        stored.append((torch.nn.functional.normalize(x.detach()), y, base.proxies.detach().clone()))
