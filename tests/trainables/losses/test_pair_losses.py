"""The pair losses against their formulas, written out in loops, and against numbers derived by hand."""

import math
from collections.abc import Callable, Iterator
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
from pydantic import ValidationError
from pytorch_metric_learning import losses as pml
from torch import Tensor

from trainables.config import RunConfig
from trainables.losses.pair_config import Contrastive, Margin, MultiSimilarity, PairLossConfig, Triplet
from trainables.parts import load_implementation
from trainables.randomness import isolated_rng


def built(config: PairLossConfig) -> torch.nn.Module:
    module: torch.nn.Module = load_implementation(config)(**config.arguments())
    return module


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
ALL = [
    Contrastive(),
    Contrastive(distance="cosine", reduction="rows", miner="multi_similarity"),
    Contrastive(miner="hard"),
    Triplet(distance="cosine"),
    Triplet(miner="hard", reduction="all"),
    Triplet(miner="semi_hard"),
    Triplet(miner="distance_weighted"),
    Triplet(miner="multi_similarity"),
    MultiSimilarity(),
    MultiSimilarity(miner="none"),
    Margin(),
    Margin(miner="hard", distance="cosine"),
]


@pytest.fixture(params=sorted(FORMULAS))
def formula(request: pytest.FixtureRequest) -> Any:
    return FORMULAS[request.param]


@pytest.fixture(params=ALL, ids=lambda config: f"{config.name}-{config.miner}-{config.normalize}")
def config(request: pytest.FixtureRequest) -> Iterator[PairLossConfig]:
    with isolated_rng(0, "test"):
        yield request.param


def random(*shape: int, seed: int = 0) -> Tensor:
    """Rows with norms around 1, so that `lipschitz` meets both cases."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=source, dtype=torch.float64) / math.sqrt(shape[-1])


CLASSES = torch.tensor([0, 1, 2, 0, 1, 2, 0])
REFERENCE_CLASSES = torch.tensor([2, 2, 1, 1, 0, 3])


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


def indices(config: PairLossConfig, e: Tensor, y: Tensor, r: Tensor, ry: Tensor) -> list[set[tuple[int, ...]]]:
    """What the miner of a loss chooses: triplets, or positive and negative pairs."""
    found = built(config).miner(e, y, r, ry)
    parts = [found] if len(found) == 3 else [found[:2], found[2:]]
    return [set(zip(*(part.tolist() for part in chosen), strict=True)) for chosen in parts]


class TestMiners:
    """One anchor at 0 degrees against references at 0, 50, 100 and 170, the first and third of its class."""

    angles = torch.tensor([0.0, 50.0, 100.0, 170.0], dtype=torch.float64).deg2rad()
    r = torch.stack([angles.cos(), angles.sin()], dim=1)
    ry = torch.tensor([0, 1, 0, 1])
    anchor, y = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([0])

    def test_multi_similarity(self) -> None:
        # Cosines: positives 1 and -0.17, negatives 0.64 and -0.98. Positives below 0.64 + 0.1, negatives above -0.27.
        positive, negative = indices(MultiSimilarity(), self.anchor, self.y, self.r, self.ry)
        assert (positive, negative) == ({(0, 2)}, {(0, 1)})

    def test_hard(self) -> None:
        assert indices(Contrastive(miner="hard"), self.anchor, self.y, self.r, self.ry) == [{(0, 2, 1)}]

    def test_semi_hard(self) -> None:
        # Distances: positives 0 and 1.53, negatives 0.85 and 1.99. Further by at most 0.5: only 1.99 - 1.53.
        assert indices(Triplet(miner="semi_hard", margin=0.5), self.anchor, self.y, self.r, self.ry) == [{(0, 2, 3)}]

    def test_distance_weighted_draws_negatives_within_its_range_from_the_global_generator(self) -> None:
        # 1.99 is beyond the cutoff of 1.4, so the only negative is the one at 0.85.
        (triplets,) = indices(Margin(), self.anchor, self.y, self.r, self.ry)
        assert triplets <= {(0, 0, 1), (0, 2, 1)}
        e, y = random(40, 16), torch.arange(40) % 10
        values = []
        for seed in (0, 0, 1):
            with isolated_rng(seed, "test"):
                values.append(built(Margin())(e, y).item())
        assert values[0] == values[1] != values[2]
        everything = built(Margin(miner="none"))(e, y)
        assert torch.equal(built(Margin()).eval()(e, y), everything)

    def test_distance_weighted_keeps_rows_far_from_all_others_in_many_dimensions(self) -> None:
        # Relative to the pair at distance 0, weights of the others underflow in float32 where D is 512.
        e = torch.nn.functional.normalize(torch.randn(12, 512, generator=torch.Generator().manual_seed(0)), dim=1)
        e, y = torch.cat([e, e[:1]]), torch.cat([torch.arange(12) % 6, torch.tensor([5])])
        chosen = built(Triplet(miner="distance_weighted")).mined(e, y, e, None)
        assert set(chosen[0].tolist()) == set(range(13))

    def test_mined_pairs_alone_are_compared(self) -> None:
        loss = built(Triplet(miner="hard", margin=0.1))
        distance = [2 * math.sin(math.radians(angle) / 2) for angle in (50, 100)]
        value = float(loss(self.anchor, self.y, self.r, self.ry))
        assert value == pytest.approx(distance[1] - distance[0] + 0.1, abs=1e-9)


class TestEveryLossAndMiner:
    @pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0]], ids=["all different", "one row"])
    def test_without_a_positive_pair(self, config: PairLossConfig, labels: list[int]) -> None:
        e = random(len(labels), 4).mul(0.01).add(random(1, 4)).requires_grad_()
        value = built(config)(e, torch.tensor(labels))
        (gradient,) = torch.autograd.grad(value, e)
        assert value.isfinite()
        assert gradient.isfinite().all()
        if config.name in ("triplet", "margin") or len(labels) == 1:
            assert value.item() == 0
            assert not gradient.any()

    def test_one_class_has_no_negatives(self, config: PairLossConfig) -> None:
        e = random(5, 4).requires_grad_()
        value = built(config)(e, torch.zeros(5, dtype=torch.int64))
        (gradient,) = torch.autograd.grad(value, e)
        assert value.isfinite()
        assert gradient.isfinite().all()
        if config.name in ("triplet", "margin") or config.miner != "none":
            assert value.item() == 0
            assert not gradient.any()

    def test_no_references(self, config: PairLossConfig) -> None:
        e = random(5, 4).requires_grad_()
        value = built(config)(e, CLASSES[:5], torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
        (gradient,) = torch.autograd.grad(value, e)
        assert value.item() == 0
        assert not gradient.any()

    def test_duplicates_only(self, config: PairLossConfig) -> None:
        e = random(1, 4).repeat(6, 1).requires_grad_()
        value = built(config)(e, CLASSES[:6])
        (gradient,) = torch.autograd.grad(value, e)
        assert value.isfinite()
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_narrow_embeddings_are_widened_first(self, config: PairLossConfig, dtype: torch.dtype) -> None:
        e, r = (30 * random(7, 4)).to(dtype), random(6, 4, seed=1).to(dtype)
        loss = built(config)
        with isolated_rng(0, "test"), torch.autocast("cpu", dtype=torch.bfloat16):
            narrow = loss(e, CLASSES, r, REFERENCE_CLASSES)
        with isolated_rng(0, "test"):
            wide = loss(e.float(), CLASSES, r.float(), REFERENCE_CLASSES)
        assert narrow.dtype == torch.float32
        assert torch.equal(narrow, wide)

    def test_miners_leave_no_trace_in_the_gradient(self, config: PairLossConfig) -> None:
        e, r = random(7, 4).requires_grad_(), random(6, 4, seed=1)
        built(config)(e, CLASSES, r, REFERENCE_CLASSES).backward()
        assert e.grad is not None
        assert e.grad.isfinite().all()

    def test_what_cannot_be_compared_is_refused(self, config: PairLossConfig) -> None:
        loss, e, y = built(config), random(5, 4), CLASSES[:5]
        with pytest.raises(ValueError, match=r"embeddings \[5, 4\] with labels \[4\]"):
            loss(e, y[:4])
        with pytest.raises(ValueError, match=r"references \[6, 3\]"):
            loss(e, y, random(6, 3), REFERENCE_CLASSES)
        with pytest.raises(ValueError, match="belong together"):
            loss(e, y, e)
        with pytest.raises(ValueError, match="integers"):
            loss(e, y.double())
        with pytest.raises(ValueError, match="empty"):
            loss(e[:0], y[:0])


class TestConfigurations:
    def test_one_image_per_class_is_refused_with_what_would_work(self) -> None:
        sampler = {"name": "balanced", "images_per_class": 1}
        with pytest.raises(ValidationError, match=r"images_per_class to 2 or more.*xbm.*ccp"):
            RunConfig.model_validate({"loss": "contrastive", "sampler": sampler})
        for other in ({"sampler": "shuffled"}, {"sampler": sampler, "synthesis": "xbm"}):
            RunConfig.model_validate({"loss": "contrastive", **other})

    def test_distance_weighting_needs_the_sphere(self) -> None:
        with pytest.raises(ValidationError, match="normalize: unit"):
            Margin(normalize="none")

    def test_syntheses_of_classes_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="synthesis 'proxy_synthesis' works on proxies and loss 'triplet'"):
            RunConfig.model_validate({"loss": "triplet", "synthesis": "proxy_synthesis"})

    def test_parameters_that_cannot_matter_are_dropped(self) -> None:
        assert MultiSimilarity(miner="none", epsilon=0.3).simplified() == MultiSimilarity(miner="none")
        assert Margin(nu=0.3).simplified() == Margin()
        kept = [MultiSimilarity(epsilon=0.3), Margin(nu=0.3, boundary_learning="learned")]
        assert [config.simplified() for config in kept] == kept
