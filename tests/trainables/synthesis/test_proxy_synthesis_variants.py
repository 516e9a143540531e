"""Variants of Proxy Synthesis: who is mixed with whom, with which weight, and what comes of it."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.losses import functional as F
from trainables.parts import identity
from trainables.randomness import derive_seed
from trainables.step import Step
from trainables.synthesis.base import Space
from trainables.synthesis.config import ProxySynthesis as Config
from trainables.synthesis.functional import mix_pairs
from trainables.synthesis.pairings import nearest_proxies, permuted, predecessors
from trainables.synthesis.pairs import choose_pairs
from trainables.synthesis.proxy_synthesis import ProxySynthesis
from trainables.synthesis.stacked_pairs import re_paired

STEP = Step(seed=3, epoch=1, index=4)
VARIANTS = {
    "mixing": "pair",
    "pairing": "permutation",
    "synthetic_classes": "pair",
    "synthesize": "proxies",
}


def batch(labels: list[int], classes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    e, p = (torch.randn(n, 3, generator=source, dtype=torch.float64) for n in (len(labels), classes))
    return e.requires_grad_(), torch.tensor(labels), p.requires_grad_()


def enlarged_by(e: Tensor, y: Tensor, p: Tensor, **fields: Any) -> tuple[Tensor, Tensor, Tensor]:
    part = ProxySynthesis(Config.model_validate(fields), Space(num_classes=len(p), embedding_dim=3))
    result = part.enlarge(Batch(e, y, Classes(p)), STEP)
    assert result.real_rows == len(y)
    assert result.classes is not None
    return result.embeddings, result.labels, result.classes.weights


def draws(purpose: str) -> np.random.Generator:
    """The stream of a step, rebuilt from the documented scope."""
    return np.random.default_rng(derive_seed(3, purpose, 1, 4))


def unit(v: Tensor) -> Tensor:
    return v / (v * v).sum(dim=-1, keepdim=True).sqrt()


def mixed(a: Tensor, b: Tensor, weight: float) -> Tensor:
    return unit(weight * unit(a) + (1 - weight) * unit(b))


def assert_same_loss(got: tuple[Tensor, Tensor, Tensor], expected: tuple[Tensor, Tensor, Tensor], leaves: Any) -> None:
    """Rows, labels and proxies, and the gradients of a loss on them."""
    assert torch.equal(got[1], expected[1])
    for first, second in zip(got, expected, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)
    values = [F.norm_softmax(*result, scale=6.0) for result in (got, expected)]
    gradients = [torch.autograd.grad(value, leaves) for value in values]
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


def test_runs_from_before_the_variants_keep_their_identity() -> None:
    old = {"name": "proxy_synthesis", "ratio": 1.0, "mixup_alpha": 0.4, "compat": "none", "numerics_version": 1}
    assert identity(Config()) == old
    for field, value in VARIANTS.items():
        assert identity(Config.model_validate({field: value})) == {**old, field: value}


@pytest.mark.parametrize("field", list(VARIANTS))
def test_official_has_no_variants(field: str) -> None:
    with pytest.raises(ValueError, match=f"no {field}.*compat 'none'"):
        Config.model_validate({"compat": "official", field: VARIANTS[field]})
    assert Config(compat="official").compat == "official"


def test_labels_of_synthetic_classes_do_not_matter_where_there_are_none() -> None:
    assert Config(synthesize="embeddings", synthetic_classes="pair").simplified() == Config(synthesize="embeddings")
    assert (
        Config(synthesize="proxies", synthetic_classes="pair").simplified().model_dump()["synthetic_classes"] == "pair"
    )


def test_weight_per_pair() -> None:
    """0 1 2: predecessors 2 0 1; each pair has a class of its own, drawn in the order of (class, class of partner)."""
    e, y, p = batch([0, 1, 2])
    a, b, c = draws("synthesis").beta(0.4, 0.4, size=3).tolist()
    rows = torch.stack([mixed(e[0], e[2], a), mixed(e[1], e[0], b), mixed(e[2], e[1], c)])
    proxies = torch.stack([mixed(p[0], p[2], a), mixed(p[1], p[0], b), mixed(p[2], p[1], c)])
    expected = torch.cat([unit(e), rows]), torch.tensor([0, 1, 2, 4, 5, 6]), torch.cat([unit(p), proxies])
    assert len({a, b, c}) == 3
    assert_same_loss(enlarged_by(e, y, p, mixing="pair"), expected, (e, p))


def test_pairs_of_one_synthetic_class_share_its_weight() -> None:
    """0 1 0 1: class pairs (0, 1), (1, 0), (0, 1), (1, 0), so two classes with a weight each."""
    e, y, p = batch([0, 1, 0, 1], classes=2)
    a, b = draws("synthesis").beta(0.4, 0.4, size=2).tolist()
    rows = [mixed(e[i], e[i - 1], weight) for i, weight in enumerate([a, b, a, b])]
    proxies = torch.stack([mixed(p[0], p[1], a), mixed(p[1], p[0], b)])
    labels = torch.tensor([0, 1, 0, 1, 2, 3, 2, 3])
    expected = torch.cat([unit(e), torch.stack(rows)]), labels, torch.cat([unit(p), proxies])
    assert_same_loss(enlarged_by(e, y, p, mixing="pair"), expected, (e, p))


def test_one_synthetic_class_for_every_pair() -> None:
    e, y, p = batch([0, 1, 0, 1], classes=2)
    weight = float(draws("synthesis").beta(0.4, 0.4))
    rows = torch.stack([mixed(e[i], e[i - 1], weight) for i in range(4)])
    proxies = torch.stack([mixed(p[i % 2], p[(i + 1) % 2], weight) for i in range(4)])
    expected = torch.cat([unit(e), rows]), torch.tensor([0, 1, 0, 1, 2, 3, 4, 5]), torch.cat([unit(p), proxies])
    assert_same_loss(enlarged_by(e, y, p, synthetic_classes="pair"), expected, (e, p))
    several = draws("synthesis").beta(0.4, 0.4, size=4).tolist()
    _, _, given = enlarged_by(e, y, p, synthetic_classes="pair", mixing="pair")
    separate = [mixed(p[i % 2], p[(i + 1) % 2], several[i]) for i in range(4)]
    torch.testing.assert_close(given[2:], torch.stack(separate), rtol=1e-9, atol=1e-9)


def test_proxies_alone_are_negatives() -> None:
    e, y, p = batch([0, 1, 2, 0])
    whole = enlarged_by(e, y, p)
    expected = whole[0][:4], y, whole[2]
    assert_same_loss(enlarged_by(e, y, p, synthesize="proxies"), expected, (e, p))
    assert len(whole[2]) == 8


@pytest.mark.parametrize("labels", [[0, 1, 2], [2, 0, 1, 3, 0]])
def test_embeddings_alone_belong_to_the_heavier_parent(labels: list[int]) -> None:
    e, y, p = batch(labels)
    weight = float(draws("synthesis").beta(0.4, 0.4))
    rows = torch.stack([mixed(e[i], e[i - 1], weight) for i in range(len(y))])
    parents = [labels[i] if weight >= 0.5 else labels[i - 1] for i in range(len(y))]
    expected = torch.cat([unit(e), rows]), torch.tensor(labels + parents), unit(p)
    assert_same_loss(enlarged_by(e, y, p, synthesize="embeddings"), expected, (e, p))


def test_embeddings_alone_with_a_weight_per_pair() -> None:
    """Without synthetic classes to share, every pair has its own weight, in the order of the batch."""
    e, y, p = batch([0, 1, 0, 1], classes=2)
    weights = draws("synthesis").beta(0.4, 0.4, size=4).tolist()
    parents = [i % 2 if weight >= 0.5 else (i + 1) % 2 for i, weight in enumerate(weights)]
    rows = torch.stack([mixed(e[i], e[i - 1], weight) for i, weight in enumerate(weights)])
    expected = torch.cat([unit(e), rows]), torch.tensor([0, 1, 0, 1, *parents]), unit(p)
    assert_same_loss(enlarged_by(e, y, p, synthesize="embeddings", mixing="pair"), expected, (e, p))


@pytest.mark.parametrize(("weight", "parents"), [(0.3, [1, 0]), (0.5, [0, 1]), (0.7, [0, 1])])
def test_heavier_parent_by_hand(weight: float, parents: list[int]) -> None:
    e, y, p = batch([0, 1], classes=2)
    pairs = choose_pairs(y, 2)
    for given in (weight, torch.full((2,), weight, dtype=torch.float64)):
        _, labels, classes = mix_pairs(e, y, Classes(p), pairs, mixing_weight=given, synthesize="embeddings")
        assert labels.tolist() == [0, 1, *parents]
        assert classes.count == 2


def test_centers_and_biases_have_the_weight_of_their_class() -> None:
    e, y, p = batch([0, 1], classes=4)
    pairs, weight = choose_pairs(y, 2), torch.tensor([0.25, 0.75], dtype=torch.float64)
    _, _, classes = mix_pairs(e, y, Classes(p, centers_per_class=2), pairs, mixing_weight=weight)
    expected = [mixed(p[0], p[2], 0.25), mixed(p[1], p[3], 0.25), mixed(p[2], p[0], 0.75), mixed(p[3], p[1], 0.75)]
    torch.testing.assert_close(classes.weights[4:], torch.stack(expected), rtol=1e-9, atol=1e-9)
    bias = torch.tensor([4.0, 8.0], dtype=torch.float64)
    rows, _, classes = mix_pairs(e, y, Classes(p[:2], bias), pairs, mixing_weight=weight)
    assert classes.bias is not None
    assert classes.bias.tolist() == [4, 8, 7, 7]
    torch.testing.assert_close(rows[3], 0.75 * e[1] + 0.25 * e[0], rtol=1e-9, atol=1e-9)


def test_predecessors() -> None:
    assert predecessors(4, 3).tolist() == [[3, 0, 1, 2], [2, 3, 0, 1], [1, 2, 3, 0]]


def test_permutation_is_drawn_for_every_round_and_repaired() -> None:
    source = draws("pairing")
    expected = [source.permutation(6).tolist(), source.permutation(6).tolist()]
    assert permuted(6, 2, draws("pairing")).tolist() == expected
    e, y, p = batch([0, 1, 2, 3, 0, 1])
    rows, labels, _ = enlarged_by(e, y, p, pairing="permutation", ratio=2.0, synthetic_classes="pair")
    weight = float(draws("synthesis").beta(0.4, 0.4))
    same_class = [sum(int(y[i] == y[partner]) for i, partner in enumerate(round_)) for round_ in expected]
    assert any(same_class)  # so there is something to repair
    repaired = [re_paired(y.numpy(), np.array(round_)).tolist() for round_ in expected]
    by_hand = [mixed(e[i], e[round_[i]], weight) for round_ in repaired for i in range(6)]
    assert labels[6:].tolist() == list(range(4, 16))
    torch.testing.assert_close(rows[6:], torch.stack(by_hand), rtol=1e-9, atol=1e-9)


ANGLES = [0, 10, 90, 100]
"""Of the proxies of classes 0..3, in degrees."""


def proxies_at(angles: list[int]) -> Tensor:
    radians = [math.radians(angle) for angle in angles]
    return torch.tensor([[3 * math.cos(a), 3 * math.sin(a)] for a in radians], dtype=torch.float64)


def test_nearest_proxies_by_hand() -> None:
    """Samples 0..5 of classes 0 2 1 3 0 1.

    From class 0 (0 degrees) nearest is 1, then 2, then 3; from 1 (10): 0, 2, 3; from 2 (90): 3, 1, 0; from 3 (100):
    2, 1, 0. Of two samples of a class comes first the one with fewer steps back: from 0 to 5 is one step, to 2 four.
    """
    labels = torch.tensor([0, 2, 1, 3, 0, 1])
    by_sample = {
        0: [5, 2, 1, 3, 5],  # class 1: 5 and 2; class 2: 1; class 3: 3; and again
        1: [3, 5, 2, 0, 4],  # class 3: 3; class 1: 5 (2 back) and 2 (5 back); class 0: 0 (1 back) and 4 (3 back)
        2: [0, 4, 1, 3, 0],  # class 0: 0 (2 back) and 4 (4 back); class 2; class 3; and again
        3: [1, 2, 5, 0, 4],  # class 2: 1; class 1: 2 (1 back) and 5 (4 back); class 0: 0 (3 back) and 4 (5 back)
        4: [2, 5, 1, 3, 2],  # class 1: 2 (2 back) and 5 (5 back)
        5: [4, 0, 1, 3, 4],  # class 0: 4 (1 back) and 0 (5 back)
    }
    partners = nearest_proxies(labels, Classes(proxies_at(ANGLES)), 5)
    assert partners.T.tolist() == list(by_sample.values())


def test_nearest_proxies_with_centers_take_their_mean_direction() -> None:
    """Classes with centers at (0, 40), (20, 22), (30, 30) degrees: means at 20, 21 and 30, whatever their lengths."""
    centers = proxies_at([0, 40, 20, 22, 30, 30]) * torch.tensor([1.0, 9, 1, 1, 1, 1]).double()[:, None]
    partners = nearest_proxies(torch.tensor([0, 2, 1]), Classes(centers, centers_per_class=2), 1)
    assert partners.tolist() == [[2, 2, 0]]


def test_nearest_proxies_of_one_class_are_none() -> None:
    labels = torch.tensor([1, 1, 1])
    assert nearest_proxies(labels, Classes(proxies_at(ANGLES)), 2).tolist() == [[0, 1, 2]] * 2
    e, _, p = batch([1, 1, 1])
    rows, _, proxies = enlarged_by(e, labels, p, pairing="nearest_proxy")
    assert (len(rows), len(proxies)) == (3, 4)


def test_nearest_proxies_reach_the_ratio_of_any_batch_with_two_classes() -> None:
    """Even where one class has the majority, and exchanges of partners could not mix it."""
    e, y, p = batch([0, 0, 0, 0, 1])
    rows, labels, _ = enlarged_by(e, y, p, pairing="nearest_proxy", ratio=2.0, synthetic_classes="pair")
    assert len(rows) == len(labels) == 15
    weight = float(draws("synthesis").beta(0.4, 0.4))
    partners = [4, 4, 4, 4, 3, 4, 4, 4, 4, 2]
    expected = [mixed(e[k % 5], e[partner], weight) for k, partner in enumerate(partners)]
    torch.testing.assert_close(rows[5:], torch.stack(expected), rtol=1e-9, atol=1e-9)


def test_synthetic_rows_beyond_the_ratio_are_not_made() -> None:
    e, y, p = batch([0, 1, 2, 3, 0, 1])
    for pairing in ("roll", "permutation", "nearest_proxy"):
        for ratio, count in ((0.1, 0), (0.5, 3), (1.5, 9)):
            rows, _, _ = enlarged_by(e, y, p, pairing=pairing, ratio=ratio)
            assert len(rows) == 6 + count
