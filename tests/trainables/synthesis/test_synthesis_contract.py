"""What every registered synthesis must do; a new entry of the registry is tested by being there."""

import pytest
import torch
from torch import Tensor

from trainables.classes import Classes
from trainables.losses import functional as F
from trainables.parts import load_implementation
from trainables.step import Step
from trainables.synthesis.base import Synthesis
from trainables.synthesis.config import SYNTHESES, SynthesisConfig

CLASSES, DIM = 5, 6
STEPS = [Step(seed=0, epoch=0, index=index) for index in range(3)]


@pytest.fixture(params=sorted(SYNTHESES))
def config(request: pytest.FixtureRequest) -> SynthesisConfig:
    config = SYNTHESES[request.param](name=request.param)
    assert isinstance(config, SynthesisConfig)
    return config


def built(config: SynthesisConfig) -> Synthesis:
    synthesis = load_implementation(config)(config)
    assert isinstance(synthesis, Synthesis)
    return synthesis


def batch(dtype: torch.dtype = torch.float32, *, centers: int = 1) -> tuple[Tensor, Tensor, Classes]:
    source = torch.Generator().manual_seed(1)
    e = torch.randn(8, DIM, generator=source, dtype=dtype)
    weights = torch.randn(CLASSES * centers, DIM, generator=source, dtype=dtype)
    return e, torch.tensor([0, 1, 2, 3, 0, 1, 2, 2]), Classes(weights, centers_per_class=centers)


def run(synthesis: Synthesis, steps: list[Step] = STEPS) -> list[tuple[Tensor, Tensor, Tensor]]:
    results = []
    for step in steps:
        rows, labels, classes = synthesis.enlarge(*batch(), step)
        assert classes is not None
        results.append((rows, labels, classes.weights))
    return results


def same(first: list[tuple[Tensor, Tensor, Tensor]], second: list[tuple[Tensor, Tensor, Tensor]]) -> bool:
    return all(torch.equal(a, b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True))


class TestSynthesisContract:
    @pytest.mark.parametrize("centers", [1, 3])
    def test_shapes_belong_together(self, config: SynthesisConfig, centers: int) -> None:
        rows, labels, classes = built(config).enlarge(*batch(centers=centers), STEPS[0])
        assert classes is not None
        assert classes.centers_per_class == centers
        assert classes.weights.shape == (classes.count * centers, DIM)
        assert classes.count >= CLASSES
        assert rows.shape == (len(labels), DIM)
        assert len(labels) >= 8
        assert int(labels.min()) >= 0
        assert int(labels.max()) < classes.count
        assert rows.isfinite().all()
        assert classes.weights.isfinite().all()

    def test_real_rows_and_classes_keep_their_directions(self, config: SynthesisConfig) -> None:
        e, y, given = batch()
        rows, labels, classes = built(config).enlarge(e, y, given, STEPS[0])
        assert classes is not None
        unit = torch.nn.functional.normalize
        torch.testing.assert_close(unit(classes.weights[:CLASSES], dim=1), unit(given.weights, dim=1))
        torch.testing.assert_close(unit(rows[:8], dim=1), unit(e, dim=1))
        assert torch.equal(labels[:8], y)

    def test_deterministic(self, config: SynthesisConfig) -> None:
        assert same(run(built(config)), run(built(config)))

    def test_global_generators_are_left_alone(self, config: SynthesisConfig) -> None:
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        run(built(config))
        assert torch.equal(torch.rand(1), expected)

    def test_gradcheck(self, config: SynthesisConfig) -> None:
        e, y, classes = batch(torch.float64)

        def call(e: Tensor, weights: Tensor) -> Tensor:
            rows, labels, enlarged = built(config).enlarge(e, y, Classes(weights), STEPS[0])
            assert enlarged is not None
            return F.norm_softmax(rows, labels, enlarged.weights, scale=4.0)

        assert torch.autograd.gradcheck(call, (e.requires_grad_(), classes.weights.requires_grad_()))

    def test_state_round_trip_goes_on_as_if_nothing_happened(self, config: SynthesisConfig) -> None:
        source, target = built(config), built(config)
        expected = run(source)
        whole = built(config)
        run(whole, STEPS[:2])
        target.load_state_dict(whole.state_dict())
        assert same(run(target, STEPS[2:]), expected[2:])

    def test_a_foreign_state_is_refused(self, config: SynthesisConfig) -> None:
        with pytest.raises(ValueError, match="foreign"):
            built(config).load_state_dict({"foreign": 1})

    def test_losses_without_proxies(self, config: SynthesisConfig) -> None:
        e, y, _ = batch()
        if config.needs_proxies:
            with pytest.raises(ValueError, match="proxies"):
                built(config).enlarge(e, y, None, STEPS[0])
        else:
            rows, labels, classes = built(config).enlarge(e, y, None, STEPS[0])
            assert (rows.shape[0], classes) == (labels.shape[0], None)
