"""Proxy Synthesis as a part of a run: its random weight, its two compatibilities, its edge cases."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.parts import load_implementation
from trainables.randomness import derive_seed
from trainables.step import Step
from trainables.synthesis import config as configs
from trainables.synthesis import functional as S
from trainables.synthesis.base import Space
from trainables.synthesis.proxy_synthesis import ProxySynthesis

STEP = Step(seed=3, epoch=1, index=4)


def part(**fields: object) -> ProxySynthesis:
    config = configs.ProxySynthesis.model_validate(fields)
    built = load_implementation(config)(config, Space(num_classes=4, embedding_dim=3))
    assert isinstance(built, ProxySynthesis)
    return built


def batch(labels: list[int], classes: int = 4) -> tuple[Tensor, Tensor, Classes]:
    source = torch.Generator().manual_seed(0)
    e, p = (torch.randn(n, 3, generator=source, dtype=torch.float64) for n in (len(labels), classes))
    return e, torch.tensor(labels), Classes(p)


def enlarged_by(synthesis: ProxySynthesis, e: Tensor, y: Tensor, classes: Classes) -> tuple[Tensor, Tensor, Classes]:
    result = synthesis.enlarge(Batch(e, y, classes), STEP)
    assert result.real_rows == len(y)
    assert result.classes is not None
    return result.embeddings, result.labels, result.classes


def test_weight_is_a_beta_draw_of_the_step() -> None:
    expected = np.random.default_rng(derive_seed(3, "synthesis", 1, 4)).beta(0.7, 0.7)
    assert part(mixup_alpha=0.7).mixing_weight(STEP) == expected


def test_weight_depends_on_seed_epoch_and_step_alone() -> None:
    weights = {part().mixing_weight(Step(*step)) for step in [(3, 1, 4), (4, 1, 4), (3, 2, 4), (3, 1, 5)]}
    assert len(weights) == 4
    np.random.seed(0)
    torch.manual_seed(0)
    same = {part(ratio=r, compat=c).mixing_weight(STEP) for r in (0.5, 2.0) for c in ("none", "official")}
    assert same == {part().mixing_weight(STEP)}


def test_weights_follow_the_beta_distribution() -> None:
    """Beta(0.4, 0.4): mean 1/2, variance 1 / (4 (2 * 0.4 + 1)); larger than 0.95 on one side in 36 % of the steps."""
    weights = np.array([part(mixup_alpha=0.4).mixing_weight(Step(0, 0, index)) for index in range(4000)])
    assert weights.mean() == pytest.approx(0.5, abs=0.02)
    assert weights.var() == pytest.approx(1 / 7.2, rel=0.05)
    assert (np.maximum(weights, 1 - weights) > 0.95).mean() == pytest.approx(0.36, abs=0.03)


def test_official_is_the_reordered_published_computation() -> None:
    e, y, classes = batch([0, 0, 1, 1, 2, 2, 2])
    rows, labels, enlarged = enlarged_by(part(ratio=0.6, compat="official"), e, y, classes)
    order = S.separate_neighbours(y)
    assert order.tolist() != list(range(len(y)))
    expected = S.proxy_synthesis(
        e[order], y[order], classes.weights, ratio=0.6, mixing_weight=part().mixing_weight(STEP), count="official"
    )
    assert torch.equal(rows, expected[0])
    assert torch.equal(labels, expected[1])
    assert torch.equal(enlarged.weights, expected[2])


def test_official_keeps_its_faults() -> None:
    e, y, classes = batch([0, 0, 0, 0, 1])  # one class has the majority: pairs within it remain
    _, labels, enlarged = enlarged_by(part(compat="official"), e, y, classes)
    assert labels[5:].tolist() == [4, 5, 6, 7, 8]
    own = torch.nn.functional.normalize(classes.weights[:1], dim=1)
    assert (enlarged.weights[4:] - own).norm(dim=1).lt(1e-12).sum() == 3
    e, y, classes = batch([0, 1, 0, 1])  # the same pair of classes twice: identical proxies with two labels
    _, labels, enlarged = enlarged_by(part(compat="official", ratio=7.0), e, y, classes)
    assert labels[4:].tolist() == [4, 5, 6, 7]
    assert torch.equal(enlarged.weights[4], enlarged.weights[6])
    e, y, classes = batch([i % 4 for i in range(100)])
    rows, _, enlarged = enlarged_by(part(compat="official", ratio=0.13), e, y, classes)
    assert (len(rows), enlarged.count) == (112, 17)


def test_corrected_version_keeps_the_order_and_never_contradicts_itself() -> None:
    source = np.random.default_rng(0)
    for _ in range(100):
        labels = source.integers(0, 4, size=int(source.integers(1, 16))).tolist()
        e, y, classes = batch(labels)
        rows, targets, enlarged = enlarged_by(part(), e, y, classes)
        assert torch.equal(targets[: len(y)], y)
        torch.testing.assert_close(rows[: len(y)], torch.nn.functional.normalize(e, dim=1))
        added = enlarged.weights[4:]
        assert len(torch.unique(added.mul(1e9).round(), dim=0)) == len(added)
        assert sorted(set(targets[len(y) :].tolist())) == list(range(4, enlarged.count))
        if 2 * max(Counter(labels).values()) <= len(labels):
            assert len(rows) == 2 * len(labels)
        distance = torch.cdist(added, enlarged.weights[:4])
        assert distance.numel() == 0 or distance.min() > 1e-9


@pytest.mark.parametrize(
    ("labels", "ratio", "count"),
    [
        ([2], 1.0, 0),
        ([1, 1], 1.0, 0),
        ([0, 1, 2], 1.0, 3),
        ([0, 1, 2, 3, 0], 2.5, 12),
        ([0, 1, 2], 0.1, 0),
        ([0, 0, 0, 1], 1.0, 2),
        ([0, 0, 0, 1], 0.5, 2),
        ([0, 1], 2.5, 5),
    ],
)
def test_rows_of_the_corrected_version(labels: list[int], ratio: float, count: int) -> None:
    e, y, classes = batch(labels)
    rows, targets, enlarged = enlarged_by(part(ratio=ratio), e, y, classes)
    assert (len(rows), len(targets)) == (len(labels) + count, len(labels) + count)
    assert rows.isfinite().all()
    assert int(targets.max()) < enlarged.count


def test_ratio_zero_adds_nothing() -> None:
    e, y, classes = batch([0, 1])
    rows, labels, unchanged = enlarged_by(part(ratio=0), e, y, classes)
    assert rows is e
    assert labels is y
    assert unchanged is classes


def test_a_loss_without_proxies_is_refused() -> None:
    e, y, _ = batch([0, 1])
    with pytest.raises(ValueError, match="proxies"):
        part().enlarge(Batch(e, y, None), STEP)
