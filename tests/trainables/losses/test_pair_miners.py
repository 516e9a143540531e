"""The miners of the pair losses, and every loss with each of them at its edges."""

import math
from collections.abc import Iterator

import pytest
import torch
from pair_problem import CLASSES, REFERENCE_CLASSES, built, random
from pydantic import ValidationError
from torch import Tensor

from trainables.config import RunConfig
from trainables.losses.pair_config import Contrastive, Margin, MultiSimilarity, PairLossConfig, Triplet
from trainables.randomness import isolated_rng

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


@pytest.fixture(params=ALL, ids=lambda config: f"{config.name}-{config.miner}-{config.normalize}")
def config(request: pytest.FixtureRequest) -> Iterator[PairLossConfig]:
    with isolated_rng(0, "test"):
        yield request.param


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
