"""MemVir by hand, against its formula over a whole training, and at its edges."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.errors import ConfigError
from trainables.losses import functional as F
from trainables.losses.config import LossConfig, NormSoftmax, ProxyAnchor
from trainables.losses.module import BaseLoss
from trainables.losses.softmax_config import CurricularFace, Softmax, SoftTriple
from trainables.parts import identity, load_implementation
from trainables.step import Step
from trainables.synthesis import functional as S
from trainables.synthesis.base import Space
from trainables.synthesis.memory_config import MemVir as Config
from trainables.synthesis.memvir import MemVir
from trainables.synthesis.snapshots import snapshot

ln = math.log


def built(loss: LossConfig, *, classes: int, dim: int, **fields: Any) -> tuple[MemVir, BaseLoss]:
    base = BaseLoss(loss, num_classes=classes, embedding_dim=dim, seed=0).double()
    space = Space(classes, dim, centers_per_class=loss.centers, has_bias=loss.has_bias)
    config = Config.model_validate(fields)
    synthesis = load_implementation(config)(config, space)
    assert isinstance(synthesis, MemVir)
    return synthesis, base


E1, E2 = (1.0, 0.0), (0.0, 1.0)
ODD = ([(5.0, 0.0), (0.0, 3.0)], [0, 1], [E1, E2])
"""Raw embeddings, labels and weights of steps 1, 3, 5, 7: x = (e1, e2), W = (e1, e2)."""
SCRIPT = [
    ODD,
    ([(0.0, 7.0)], [0], [(-1.0, 0.0), E2]),
    ODD,
    ([(2.0, 0.0), (9.0, 0.0)], [1, 0], [(-1.0, 0.0), E2]),
    ODD,
    ([(0.0, 0.1)], [1], [(-1.0, 0.0), E2]),
    ODD,
]
"""Steps 1..7; 2 and 6 have one row. All directions are axes, so at the scale ln 2 every exp(logit) is 1/2, 1 or 2."""

BY_HAND = {
    "virtual_classes": [
        ln(3 / 2),  # 1: nothing is stored; each row has exps (2, 1), target 2
        ln(3),  # 2: only step 1, of age 1, is stored; exps (1, 2), target 1
        ln(3),  # 3: with step 1: weights e1 e2 e1 e2, exps 2 1 2 1 = 6, every target 2
        # 4: with step 2: weights -e1 e2 -e1 e2. Rows e1 of class 1 and 0: exps 1/2 1 1/2 1 = 3, targets 1 and 1/2;
        # row e2 of class 0 + 2: exps 1 2 1 2 = 6, target 1
        (ln(3) + ln(6) + ln(6)) / 3,
        ln(9 / 2),  # 5: with steps 3 and 1: three blocks, exps 9, every target 2
        # 6: with steps 4 and 2: three blocks -e1 e2. Row e2 of class 1: exps 9, target 2. Step 4: rows e1 of classes
        # 1 + 2 and 0 + 2: exps 9/2, targets 1 and 1/2. Step 2: row e2 of class 0 + 4: exps 9, target 1
        (ln(9 / 2) + ln(9 / 2) + ln(9) + ln(9)) / 4,
        ln(9 / 2),  # 7: with steps 5 and 3; step 1 was dropped
    ],
    "weights": [
        ln(3 / 2),
        ln(3),
        ln(3),
        (ln(3) + ln(6)) / 2,  # 4: its own two rows alone
        ln(9 / 2),
        ln(9 / 2),  # 6: its own row alone
        ln(9 / 2),
    ],
    "embeddings": [
        ln(3 / 2),
        ln(3),
        ln(3 / 2),  # 3: rows e1 e2 e1 e2 against e1 e2, exps 3, every target 2
        # 4: rows e1 of classes 1 and 0: exps 1/2 1, targets 1 and 1/2; row e2 of class 0: exps 1 2, target 1
        (ln(3 / 2) + ln(3) + ln(3)) / 3,
        ln(3 / 2),
        # 6: row e2 of class 1: exps 1 2, target 2; then the three rows of step 4's calculation
        (ln(3 / 2) + ln(3 / 2) + ln(3) + ln(3)) / 4,
        ln(3 / 2),
    ],
}
ROWS, OWN = [2, 1, 4, 3, 6, 4, 6], [2, 1, 2, 2, 2, 1, 2]
"""All rows and the present ones of each step, where embeddings are remembered."""


def played(steps: list[Step], **fields: Any) -> tuple[list[float], list[dict[str, float]]]:
    """Losses and metrics of the script; the weights change in place, as an optimiser changes them."""
    synthesis, base = built(NormSoftmax(scale=ln(2)), classes=2, dim=2, steps=2, gap=1, **fields)
    assert base.proxies is not None
    losses, metrics = [], []
    for number, (step, (embeddings, labels, weights)) in enumerate(zip(steps, SCRIPT, strict=True), start=1):
        with torch.no_grad():
            base.proxies.copy_(number * torch.tensor(weights, dtype=torch.float64))
        batch = Batch(torch.tensor(embeddings, dtype=torch.float64), torch.tensor(labels), base.classes)
        losses.append(synthesis.loss(base, batch, step).item())
        metrics.append(synthesis.epoch_metrics())
    return losses, metrics


ONE_EPOCH = [Step(0, 0, index) for index in range(7)]
THREE_EPOCHS = [Step(0, index // 3, index % 3) for index in range(7)]


@pytest.mark.parametrize("memory", list(BY_HAND))
@pytest.mark.parametrize("steps", [ONE_EPOCH, THREE_EPOCHS], ids=["one epoch", "three epochs"])
def test_by_hand(memory: str, steps: list[Step]) -> None:
    losses, metrics = played(steps, memory=memory)
    assert losses == pytest.approx(BY_HAND[memory], abs=1e-12)
    blocks = [1, 1, 2, 2, 3, 3, 3] if memory != "embeddings" else [1] * 7
    assert [m["synthesis_classes"] for m in metrics] == [2.0 * block for block in blocks]
    assert [m["synthesis_rows"] for m in metrics] == (OWN if memory == "weights" else ROWS)


@pytest.mark.parametrize("memory", list(BY_HAND))
def test_mean_over_current_rows(memory: str) -> None:
    rows = OWN if memory == "weights" else ROWS
    expected = [loss * total / own for loss, total, own in zip(BY_HAND[memory], rows, OWN, strict=True)]
    assert played(ONE_EPOCH, memory=memory, reduction="mean_current")[0] == pytest.approx(expected, abs=1e-12)


def test_jump_waits_for_a_full_queue() -> None:
    """Steps 3 and 4 are the base loss: ln 3/2, and (ln 3/2 + ln 3) / 2 from exps 1/2 1 and targets 1 and 1/2."""
    expected = [*BY_HAND["virtual_classes"]]
    expected[2:4] = [ln(3 / 2), (ln(3 / 2) + ln(3)) / 2]
    losses, metrics = played(ONE_EPOCH, curriculum="jump")
    assert losses == pytest.approx(expected, abs=1e-12)
    assert [m["synthesis_classes"] for m in metrics] == [2, 2, 2, 2, 6, 6, 6]


def test_nothing_is_stored_in_the_warm_up() -> None:
    """Steps 1 to 3 are warm-up; so 6 is the first with a past step, number 4, and 7 has number 5."""
    steps = [Step(0, 0, index) for index in range(3)] + [Step(0, 1, index) for index in range(4)]
    losses, metrics = played(steps, warmup_epochs=1)
    assert [m["synthesis_classes"] for m in metrics] == [2, 2, 2, 2, 2, 4, 4]
    six = (ln(3) + ln(3) + ln(6)) / 3  # row e2 of class 1: exps 6, target 2; rows e1: exps 3, targets 1 and 1/2
    assert losses[2] == pytest.approx(ln(3 / 2), abs=1e-12)
    assert losses[5:] == pytest.approx([six, ln(3)], abs=1e-12)


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


def test_gradients_reach_the_present_alone() -> None:
    x, y, w = torch.randn(3, 4).requires_grad_(), torch.tensor([0, 1, 1]), torch.randn(2, 4).requires_grad_()
    past = torch.randn(2, 4).requires_grad_(), torch.tensor([1, 0]), torch.randn(2, 4).requires_grad_()
    entry = snapshot(past[0], past[1], Classes(past[2]))
    assert not entry.embeddings.requires_grad
    assert not entry.weights.requires_grad
    rows, labels, proxies = S.memvir(x, y, w, [entry], steps=1, gap=0)
    F.norm_softmax(rows, labels, proxies).backward()
    assert x.grad is not None
    assert w.grad is not None
    assert x.grad.any(dim=1).all()
    assert w.grad.any(dim=1).all()
    assert past[0].grad is None
    assert past[2].grad is None


def test_what_is_kept_is_a_copy_of_what_is_needed() -> None:
    x, y, w = torch.randn(3, 4) * 5, torch.tensor([0, 1, 1]), torch.randn(2, 4)
    whole = snapshot(x, y, Classes(w))
    torch.testing.assert_close(whole.embeddings.norm(dim=1), torch.ones(3))
    kept = w.clone()
    w.zero_()
    assert torch.equal(whole.weights, kept)
    raw = snapshot(x, y, Classes(kept, torch.tensor([1.0, 2.0])))
    assert torch.equal(raw.embeddings, x)
    assert raw.bias is not None
    assert raw.bias.tolist() == [1, 2]
    negatives = snapshot(x, y, Classes(kept), memory="weights")
    assert (len(negatives.embeddings), len(negatives.labels), len(negatives.weights)) == (0, 0, 2)
    positives = snapshot(x, y, Classes(kept), memory="embeddings")
    assert (len(positives.embeddings), len(positives.labels), len(positives.weights)) == (3, 3, 0)
    for tensor in (negatives.embeddings, positives.weights):
        assert tensor.untyped_storage().nbytes() == 0  # a view would hold, and save, the whole


def test_excluded_classes_stay_excluded() -> None:
    synthesis, base = built(NormSoftmax(), classes=2, dim=2, steps=1, gap=0)
    x, y = torch.eye(2, dtype=torch.float64), torch.tensor([0, 1])
    excluded = torch.tensor([[False, True], [False, False]])
    for index in range(2):
        enlarged = synthesis.enlarge(Batch(x, y, base.classes, excluded=excluded), Step(0, 0, index))
    assert enlarged.excluded is not None
    assert enlarged.excluded.tolist() == [[False, True, False, False]] + [[False] * 4] * 3


def test_impossible_arguments_are_refused() -> None:
    x, y, w = torch.randn(2, 3), torch.tensor([0, 1]), torch.randn(2, 3)
    for steps, gap in ((0, 1), (-1, 1), (1, -1)):
        with pytest.raises(ValueError, match="steps of at least 1"):
            S.memvir(x, y, w, [], steps=steps, gap=gap)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        S.memvir(x, y + 1, w, [], steps=1, gap=0)
    for fields in ({"steps": 0}, {"steps": -1}, {"gap": -1}, {"warmup_epochs": -1}):
        with pytest.raises(ValueError, match="greater than or equal"):
            Config.model_validate(fields)


def test_a_state_of_another_queue_is_refused() -> None:
    long, base = built(NormSoftmax(), classes=2, dim=2, steps=3, gap=0)
    for index in range(3):
        long.enlarge(Batch(torch.eye(2), torch.tensor([0, 1]), base.classes), Step(0, 0, index))
    short, _ = built(NormSoftmax(), classes=2, dim=2, steps=2, gap=0)
    with pytest.raises(ValueError, match="3 steps, and 2 fit"):
        short.load_state_dict(long.state_dict())


class TestMemory:
    """495 past steps of N = 45, M = 10: 4 bytes for each number, 8 for each label."""

    def test_sop_does_not_fit(self) -> None:
        """495 * 11318 proxies * 512 * 4 bytes = 11,473,735,680 are known before the first batch."""
        with pytest.raises(ConfigError, match=r"11473735680\s*bytes.*memory_limit is 4294967296.*fewer steps"):
            MemVir(Config(), Space(num_classes=11318, embedding_dim=512))
        with pytest.raises(ConfigError, match=r"113180 proxies"):
            MemVir(Config(), Space(num_classes=11318, embedding_dim=512, centers_per_class=10))
        MemVir(Config(memory="embeddings"), Space(num_classes=11318, embedding_dim=512))
        MemVir(Config(steps=5), Space(num_classes=11318, embedding_dim=512))
        MemVir(Config(memory_limit=12 * 10**9), Space(num_classes=11318, embedding_dim=512))

    def test_cars_fits(self) -> None:
        """495 * (98 proxies + 128 embeddings) * 512 * 4 + 495 * 128 * 8 = 229,616,640 bytes in the queue, and logits
        of 46 * 128 rows and 46 * 98 classes: 106,172,416 bytes."""
        total = 229_616_640 + 106_172_416
        known = {"proxies": 98, "embedding_dim": 512, "batch_size": 128}
        assert Config(memory_limit=total).too_large(**known) is None
        refused = Config(memory_limit=total - 1).too_large(**known)
        assert refused is not None
        assert "229616640 bytes" in refused
        assert "106172416 bytes" in refused

    def test_rows_are_counted_with_the_first_batch(self) -> None:
        """2 steps of 2 proxies * 2 numbers * 4 bytes = 32; with 2 embeddings and labels 96, and 6 * 6 logits 144."""
        synthesis, base = built(NormSoftmax(), classes=2, dim=2, steps=2, gap=0, memory_limit=239)
        batch = Batch(torch.eye(2), torch.tensor([0, 1]), base.classes)
        with pytest.raises(ConfigError, match=r"96 bytes.*144 bytes"):
            synthesis.enlarge(batch, Step(0, 0, 0))
        built(NormSoftmax(), classes=2, dim=2, steps=2, gap=0, memory_limit=240)[0].enlarge(batch, Step(0, 0, 0))

    def test_rows_alone_are_refused_with_the_configuration(self) -> None:
        assert "495 past steps of 128 embeddings of 64 dimensions" in (refusal(Config(memory_limit=10**6)) or "")
        assert refusal(Config(memory_limit=10**6, memory="weights")) is None


def refusal(config: Config, *, loss: Any = None, epochs: int = 100) -> str | None:
    training = SimpleNamespace(epochs=epochs, batch_size=128)
    run = SimpleNamespace(loss=loss or NormSoftmax(), embedding_dim=64, training=training)
    return config.refusal(run)


def test_refusals_say_what_would_be_possible() -> None:
    assert refusal(Config()) is None
    without = refusal(Config(), loss=SimpleNamespace(name="triplet", has_proxies=False)) or ""
    assert "'triplet'" in without
    assert "xbm" in without
    assert "norm_softmax" in without
    assert refusal(Config(warmup_epochs=19), epochs=20) is None
    assert "shorter warm-up" in (refusal(Config(warmup_epochs=20), epochs=20) or "")


def test_grace() -> None:
    """63 steps an epoch: 495 steps are 7.9 epochs, 520 steps 8.3."""
    published = Config(warmup_epochs=40)
    assert (published.capacity, published.grace_epochs, published.grace_epochs_at(63)) == (495, 41, 48)
    assert Config(steps=20, gap=25, warmup_epochs=40).grace_epochs_at(63) == 49


def test_identity_leaves_out_what_cannot_matter() -> None:
    assert identity(Config(memory_limit=1)) == identity(Config())
    assert Config(memory="weights", reduction="mean_current").simplified() == Config(memory="weights")
    assert Config(steps=1, curriculum="jump").simplified() == Config(steps=1)
    assert Config(curriculum="jump", reduction="mean_current").simplified() != Config()
