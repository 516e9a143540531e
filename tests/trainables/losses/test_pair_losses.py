"""The pair losses against their formulas, written out in loops, and against numbers derived by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pair_oracles import (
    NORMS,
    Rows,
    c1,
    c2,
    margin,
    multi_similarity,
    pairs,
    triplet,
    triplet_of_all,
)
from pair_problem import CLASSES, REFERENCE_CLASSES, built, random
from pytorch_metric_learning import losses as pml
from torch import Tensor

from trainables.losses.pair_config import Contrastive, Margin, MultiSimilarity, PairLossConfig, Triplet

FORMULAS: dict[str, tuple[PairLossConfig, Callable[[Tensor, Tensor, Rows, Rows], Tensor]]] = {
    "C1": (Contrastive(distance="cosine", reduction="rows", positive_margin=1e-5, negative_margin=0.7), c1),
    "C2": (Contrastive(positive_margin=0.2652, negative_margin=0.5409), c2),
    "triplet": (Triplet(margin=0.0961), triplet),
    "triplet of all": (Triplet(margin=0.0961, reduction="all"), triplet_of_all),
    "multi-similarity": (
        MultiSimilarity(positive_scale=14.35, negative_scale=75.83, threshold=0.66, miner="none"),
        multi_similarity,
    ),
    "margin": (Margin(margin=0.3, boundary=0.9, miner="none"), margin),
}


@pytest.fixture(params=sorted(FORMULAS))
def formula(request: pytest.FixtureRequest) -> Any:
    return FORMULAS[request.param]


def assert_same(first: Tensor, second: Tensor, *inputs: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)
    got = torch.autograd.grad(first, inputs)
    for one, two in zip(got, torch.autograd.grad(second, inputs, materialize_grads=True), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


def by_formula(formula: Any, normalize: str, e: Tensor, y: Tensor, r: Tensor | None = None, ry: Any = None) -> Tensor:
    rows = torch.stack([NORMS[normalize](row) for row in e])
    columns = rows if r is None else torch.stack([NORMS[normalize](row) for row in r])
    result: Tensor = formula[1](rows, columns, *pairs(y, ry)) + 0 * e.sum()
    return result


def module(formula: Any, normalize: str) -> torch.nn.Module:
    return built(formula[0].model_copy(update={"normalize": normalize}))


class TestFormulas:
    @pytest.mark.parametrize("normalize", sorted(NORMS))
    def test_within_a_batch(self, formula: Any, normalize: str) -> None:
        e = random(7, 4).requires_grad_()
        got = module(formula, normalize)(e, CLASSES)
        assert got.item() > 0
        assert_same(got, by_formula(formula, normalize, e, CLASSES), e)

    @pytest.mark.parametrize("normalize", sorted(NORMS))
    def test_against_references_with_gradients_on_both_sides(self, formula: Any, normalize: str) -> None:
        e, r = random(7, 4).requires_grad_(), random(6, 4, seed=1).requires_grad_()
        got = module(formula, normalize)(e, CLASSES, r, REFERENCE_CLASSES)
        assert got.item() > 0
        assert_same(got, by_formula(formula, normalize, e, CLASSES, r, REFERENCE_CLASSES), e, r)

    @pytest.mark.parametrize("normalize", sorted(NORMS))
    def test_duplicates_within_and_across_classes(self, formula: Any, normalize: str) -> None:
        values = random(7, 4)
        values[3], values[4] = values[0], values[2]  # the first of one class, the second of two
        e = values.requires_grad_()
        assert_same(module(formula, normalize)(e, CLASSES), by_formula(formula, normalize, e, CLASSES), e)

    def test_more_rows_than_library_kernels_compute_exactly(self, formula: Any) -> None:
        # Beyond 25 rows, torch.cdist puts duplicates at a distance of about 1e-8 and gives them a gradient.
        values, y = random(30, 3), torch.arange(30) % 12
        values[12:24] = values[:12]
        e = values.requires_grad_()
        assert_same(module(formula, "unit")(e, y), by_formula(formula, "unit", e, y), e)

    def test_one_class(self, formula: Any) -> None:
        e, y = random(5, 4).requires_grad_(), torch.zeros(5, dtype=torch.int64)
        assert_same(module(formula, "unit")(e, y), by_formula(formula, "unit", e, y), e)

    def test_one_positive_and_one_negative_reference(self, formula: Any) -> None:
        e, r = random(1, 4).requires_grad_(), random(2, 4, seed=5).requires_grad_()
        y, ry = torch.tensor([0]), torch.tensor([0, 1])
        got = module(formula, "unit")(e, y, r, ry)
        assert got.item() > 0
        assert_same(got, by_formula(formula, "unit", e, y, r, ry), e, r)

    def test_the_batch_as_its_own_references_is_paired_with_itself(self, formula: Any) -> None:
        e = random(7, 4).requires_grad_()
        expected = by_formula(formula, "none", e, CLASSES, e, CLASSES)
        assert_same(module(formula, "none")(e, CLASSES, e, CLASSES), expected, e)

    def test_gradcheck(self, formula: Any) -> None:
        loss, r = module(formula, "lipschitz"), random(6, 4, seed=1).requires_grad_()
        e = random(7, 4).requires_grad_()
        assert torch.autograd.gradcheck(lambda e: loss(e, CLASSES), (e,))
        assert torch.autograd.gradcheck(lambda e, r: loss(e, CLASSES, r, REFERENCE_CLASSES), (e, r))


class TestNumbersByHand:
    """Three unit vectors at 0, 60 and 180 degrees, the first two of one class."""

    e = torch.tensor([[2.0, 0.0], [0.5, math.sqrt(3) / 2], [-3.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([0, 0, 1])

    def test_contrastive(self) -> None:
        # Distances 1 (positive, both ways), 2 and sqrt(3); with margin 1.9 only sqrt(3) is too near.
        loss = built(Contrastive(positive_margin=0.25, negative_margin=1.9))
        assert float(loss(self.e, self.y)) == pytest.approx(0.75 + 1.9 - math.sqrt(3), abs=1e-12)

    def test_contrastive_on_cosines(self) -> None:
        # Cosines 1/2 (positive), -1 and -1/2: 2 * (1 - 1/2) + 2 * (-1/2 + 0.6), over 3 rows.
        loss = built(Contrastive(distance="cosine", reduction="rows", negative_margin=1.6))
        assert float(loss(self.e, self.y)) == pytest.approx((1 + 0.2) / 3, abs=1e-12)

    def test_triplet(self) -> None:
        # Anchors 0 and 1: 1 - 2 + 0.9 < 0 and 1 - sqrt(3) + 0.9 > 0; the third has no positive.
        assert float(built(Triplet(margin=0.9))(self.e, self.y)) == pytest.approx(1.9 - math.sqrt(3), abs=1e-12)
        of_all = built(Triplet(margin=0.9, reduction="all"))
        assert float(of_all(self.e, self.y)) == pytest.approx((1.9 - math.sqrt(3)) / 2, abs=1e-12)

    def test_multi_similarity(self) -> None:
        loss = built(MultiSimilarity(positive_scale=2, negative_scale=4, threshold=0.5, miner="none"))
        pull = 2 * math.log(2) / 2  # twice log(1 + exp(0)) / 2
        push = (math.log(1 + math.exp(-6)) + math.log(1 + math.exp(-4)) + math.log(1 + math.exp(-6) + math.exp(-4))) / 4
        assert float(loss(self.e, self.y)) == pytest.approx((pull + push) / 3, abs=1e-12)

    def test_margin(self) -> None:
        # Positives at 1: 0.2 + 1 - 0.9 = 0.3, in two triplets; negatives at 2 and sqrt(3) against 0.9 + 0.2: nothing.
        loss = built(Margin(boundary=0.9, miner="none"))
        assert float(loss(self.e, self.y)) == pytest.approx(0.3, abs=1e-12)

    def test_a_learned_boundary(self) -> None:
        loss = built(Margin(boundary=0.9, boundary_learning="learned", nu=0.5, miner="none")).double()
        (boundary,) = loss.parameters()
        value = loss(self.e, self.y)
        value.backward()
        assert value.shape == ()
        assert value.item() == pytest.approx(0.3 + 0.45, abs=1e-6)  # the library starts it in float32
        assert float(boundary.grad) == pytest.approx(-1 + 0.5, abs=1e-12)


LIBRARY = [
    (Contrastive(negative_margin=1.0), pml.ContrastiveLoss()),
    (Triplet(margin=0.05), pml.TripletMarginLoss()),
    (MultiSimilarity(miner="none"), pml.MultiSimilarityLoss()),
    (Margin(boundary=1.25, miner="none"), pml.MarginLoss(beta=1.25)),
]


class TestLibrary:
    @pytest.mark.parametrize(("config", "oracle"), LIBRARY, ids=lambda value: getattr(value, "name", ""))
    def test_the_same_as_its_losses_on_raw_embeddings(self, config: PairLossConfig, oracle: torch.nn.Module) -> None:
        e, y = (3 * random(20, 5)).requires_grad_(), torch.arange(20) % 4
        assert_same(built(config)(e, y), oracle(e, y), e)
        r, ry = random(9, 5, seed=1), torch.arange(9) % 5
        assert_same(built(config)(e, y, r, ry), oracle(e, y, ref_emb=r, ref_labels=ry), e)
