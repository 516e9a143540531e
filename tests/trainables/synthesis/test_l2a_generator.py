"""How the generator of L2A is trained, and what it learns."""

from typing import Any

import pytest
import torch
from l2a_problem import OFF, PROXY_LOSSES, C, D, Problem, flat, naive_norm_softmax
from torch import Tensor
from torch.nn import functional as TF

from trainables.losses.registry import LOSSES
from trainables.step import Step
from trainables.synthesis import l2a_terms
from trainables.synthesis.l2a import L2A
from trainables.synthesis.l2a_networks import Generator
from trainables.synthesis.l2a_training import Real

FIELDS: list[dict[str, Any]] = [{"ratio": 0}, {"ratio": 2, "reduction": "separate"}, {"ratio": 2}]


class TestGeneratorSteps:
    @pytest.mark.parametrize("loss", PROXY_LOSSES)
    def test_they_change_nothing_of_the_base_loss(self, loss: str) -> None:
        problem = Problem(loss, refresh="step")
        if "curricularface" in loss:
            problem.base.function.t.fill_(0.3)
        before = flat(problem.base.state_dict())
        novel = problem.part.training.novel.weights.detach().clone()
        problem.begin()
        problem.part.training.step(
            problem.base,
            problem.base.classes,
            Real.of(problem.embeddings),
            Step(0, 0, 0).generator,
        )
        assert flat(problem.base.state_dict()) == before
        assert problem.base.training
        assert all(parameter.grad is None for parameter in [*problem.base.parameters(), problem.embeddings])
        assert all(parameter.grad is None for parameter in problem.part.parameters())
        scale = problem.base.proxies.detach().norm(dim=1).mean()
        assert not torch.allclose(problem.part.training.novel.weights, novel * scale, atol=1e-4)

    @pytest.mark.skipif("curricularface" not in LOSSES, reason="not registered")
    def test_generated_rows_do_not_move_the_running_mean_of_curricularface(self) -> None:
        plain, separate, together = (Problem("curricularface", **OFF, **fields) for fields in FIELDS)
        for problem in (plain, separate, together):
            problem.begin().loss()
        expected = plain.base.function.t.item()
        assert expected != 0
        assert separate.base.function.t.item() == pytest.approx(expected, abs=1e-7)
        assert together.base.function.t.item() == pytest.approx(expected, abs=1e-7)

    def test_the_class_term_is_the_base_loss_on_generated_rows(self) -> None:
        problem = Problem(dtype=torch.float64)
        training = problem.part.training
        for module in (training.generator, training.novel):
            module.double()
        noise = torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        labels, length = torch.tensor([0, 3, 4, 7, 4]), torch.tensor(2.5, dtype=torch.float64)
        classes = problem.base.classes
        assert classes is not None
        value = training.terms(problem.base, classes, length, noise, labels, Step(0, 0, 0).generator)["class"]()
        rows = training.generator(noise, labels)
        proxies = torch.cat([classes.weights.detach(), training.novel.weights])
        expected = naive_norm_softmax(rows, labels, proxies)
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
        assert torch.autograd.grad(value, classes.weights, retain_graph=True, allow_unused=True) == (None,)
        for got, wanted in zip(
            torch.autograd.grad(value, training.trained), torch.autograd.grad(expected, training.trained), strict=True
        ):
            torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)

    def test_the_other_terms_are_those_of_the_formulas(self) -> None:
        problem = Problem(diversity_clip=0.2, divergence_sharpness=3.0)
        training, step = problem.part.training, Step(0, 0, 0)
        noise, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 3, 4, 7, 4])
        classes = problem.base.classes
        assert classes is not None
        assert training.critic is not None
        found = training.terms(problem.base, classes, torch.tensor(1.0), noise, labels, step.generator)
        rows = training.generator(noise, labels)
        assert torch.equal(found["critic"](), -training.critic(rows).mean())
        other = torch.randn(5, 3, generator=step.generator("diversity"))
        ratios = (rows - training.generator(other, labels)).norm(dim=1) / (noise - other).norm(dim=1)
        torch.testing.assert_close(found["diversity"](), -ratios.clamp(max=0.2).mean())
        divergence = l2a_terms.divergence(training.novel.weights, classes.weights, sharpness=3.0)
        torch.testing.assert_close(found["divergence"](), divergence)

    def test_half_of_the_classes_are_seen_and_half_novel(self) -> None:
        noise, labels = Problem(generator_batch_size=9).part.training._drawn(torch.Generator().manual_seed(0))
        assert noise.shape == (9, 3)
        assert [int(((labels // C) == side).sum()) for side in (0, 1)] == [5, 4]
        _, labels = Problem(generate="seen").part.training._drawn(torch.Generator().manual_seed(0))
        assert labels.max() < C

    def test_weights_of_zero_switch_everything_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def never(*args: Any, **fields: Any) -> Tensor:
            raise AssertionError("computed")

        for name in ("critic_gap", "gradient_penalty", "realism", "divergence", "mode_seeking"):
            monkeypatch.setattr(l2a_terms, name, never)
        for refresh in ("epoch", "step"):
            problem = Problem(**OFF, refresh=refresh)
            before = flat(problem.part.training.generator.state_dict())
            problem.epoch(0)
            assert problem.embedded == 0
            assert problem.part.training.critic is None
            assert flat(problem.part.training.generator.state_dict()) == before
        trained = Problem(**{**OFF, "class_weight": 1})
        trained.begin()
        assert flat(trained.part.training.generator.state_dict()) != before

    @pytest.mark.parametrize("term", ["critic", "divergence", "diversity"])
    def test_a_term_leaves_the_draws_of_the_others_as_they_are(self, term: str) -> None:
        """With a weight that rounding swallows, a run is the one without the term."""
        states = []
        for weight in (0, 1e-30):
            problem = Problem(**{**OFF, "class_weight": 1, f"{term}_weight": weight}).begin()
            states.append(problem.part.training.novel.weights.detach())
        torch.testing.assert_close(states[0], states[1], rtol=0, atol=1e-5)

    @pytest.mark.parametrize("term", ["critic", "class", "divergence", "diversity"])
    def test_every_single_term_trains(self, term: str) -> None:
        problem = Problem(**{**OFF, f"{term}_weight": 1})
        before = flat(problem.part.training.state_dict())
        problem.begin()
        assert flat(problem.part.training.state_dict()) != before


class TestNetworks:
    def test_a_generated_row_is_a_unit_vector_of_its_own_noise_and_class(self) -> None:
        torch.manual_seed(0)
        generator = Generator(classes=3, embedding_dim=5, noise_dim=2, condition_dim=4, width=7, depth=2)
        noise, classes = torch.randn(4, 2), torch.tensor([0, 2, 1, 2])
        rows = generator(noise, classes)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
        alone = torch.cat([generator(noise[i : i + 1], classes[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(rows, alone)
        assert not torch.allclose(generator(noise[:1], classes[:1]), generator(noise[:1], classes[1:2]))

    def test_a_trained_generator_knows_where_the_classes_are(self) -> None:
        """Tight clusters around C directions that are also the proxies: rows of a seen class come near its mean."""
        source = torch.Generator().manual_seed(3)
        means = TF.normalize(torch.randn(C, D, generator=source), dim=1)
        labels = torch.arange(200) % C
        samples = means[labels] + 0.15 * torch.randn(200, D, generator=source)
        problem = Problem(
            generator_steps=150, generator_batch_size=32, generator_width=32, critic_width=32, noise_dim=8
        )
        with torch.no_grad():
            problem.base.proxies.copy_(means)
        untrained = self.cosine_to_own_mean(problem.part, means)
        problem.part.begin_epoch(0, lambda: (samples, labels), problem.base)
        trained = self.cosine_to_own_mean(problem.part, means)
        assert abs(untrained) < 0.2
        assert trained > 0.75
        metrics = problem.part.epoch_metrics()
        assert metrics["synthesis_novel_cosine"] < 0.95
        assert metrics["synthesis_spread"] > 0.01

    @staticmethod
    @torch.no_grad()
    def cosine_to_own_mean(part: L2A, means: Tensor) -> float:
        noise = torch.randn(100, 8, generator=torch.Generator().manual_seed(4))
        labels = torch.arange(100) % C
        return float((part.training.generator(noise, labels) * means[labels]).sum(dim=1).mean())
