"""L2A as a part of a run: its phases, and the loss that the run minimises."""

import pytest
import torch
from l2a_problem import OFF, PROXY_LOSSES, B, C, D, Problem, flat, naive_norm_softmax

from trainables.batch import Batch
from trainables.losses import functional as F
from trainables.losses.registry import LOSSES
from trainables.step import Step


class TestPhases:
    def test_the_warm_up_is_the_base_loss_alone(self) -> None:
        problem = Problem(warmup_epochs=2)
        before = flat(problem.part.state_dict())
        for epoch in range(2):
            problem.begin(epoch)
            batch = problem.batch
            assert problem.part.enlarge(batch, Step(0, epoch, 0)) is batch
            assert torch.equal(problem.loss(Step(0, epoch, 0)), problem.base(batch))
            assert problem.part.epoch_metrics() == {}
        assert problem.embedded == 0
        assert flat(problem.part.state_dict()) == before

    @pytest.mark.parametrize(
        ("generate", "classes", "allowed"), [("novel", 10, (4, 10)), ("seen", 4, (0, 4)), ("both", 10, (0, 10))]
    )
    def test_then_rows_and_novel_classes_are_added(self, generate: str, classes: int, allowed: tuple[int, int]) -> None:
        problem = Problem(generate=generate, novel_ratio=1.5, ratio=2.6, samples_per_class=2, warmup_epochs=1).begin(1)
        enlarged = problem.part.enlarge(problem.batch, Step(0, 1, 0))
        assert enlarged.classes is not None
        assert enlarged.classes.count == classes
        assert torch.equal(enlarged.classes.weights[:C], problem.base.classes.weights)
        assert enlarged.embeddings.shape == (B + 21, D)
        assert torch.equal(enlarged.embeddings[:B], problem.embeddings)
        assert torch.equal(enlarged.labels[:B], problem.labels)
        assert enlarged.real_rows == B
        drawn = enlarged.labels[B:]
        assert torch.equal(drawn[0:20:2], drawn[1:21:2])
        pool = list(range(*allowed))
        assert sorted(drawn[::2][: len(pool)].tolist()) == pool
        assert set(drawn.tolist()) == set(pool)

    def test_generated_rows_have_the_mean_length_of_the_real_ones(self) -> None:
        problem = Problem().begin()
        rows = problem.part.enlarge(problem.batch, Step(0, 0, 0)).embeddings
        length = problem.embeddings.norm(dim=1).mean().expand(4)
        torch.testing.assert_close(rows[B:].norm(dim=1), length)

    def test_without_rows_the_novel_classes_are_still_there(self) -> None:
        problem = Problem(ratio=0, reduction="separate").begin()
        enlarged = problem.part.enlarge(problem.batch, Step(0, 0, 0))
        assert enlarged.classes is not None
        assert (enlarged.embeddings.shape[0], enlarged.classes.count) == (B, 2 * C)
        assert torch.equal(problem.loss(), problem.base(enlarged))

    @pytest.mark.parametrize(("refresh", "trainings"), [("never", [1, 2]), ("epoch", [1, 2, 4, 6]), ("step", [1, 2])])
    def test_the_generator_is_trained_when_it_is_due(self, refresh: str, trainings: list[int]) -> None:
        problem = Problem(refresh=refresh, refresh_every=2, warmup_epochs=2)
        calls, changed = [], []
        for epoch in range(7):
            before = flat(problem.part.training.generator.state_dict())
            embedded = problem.embedded
            problem.begin(epoch)
            if problem.embedded > embedded:
                calls.append(epoch)
            problem.loss(Step(0, epoch, 0))
            if flat(problem.part.training.generator.state_dict()) != before:
                changed.append(epoch)
        assert calls == ([2, 4, 6] if refresh == "epoch" else [2])
        assert changed == {"never": [2], "epoch": [2, 4, 6], "step": [2, 3, 4, 5, 6]}[refresh]

    def test_novel_classes_start_at_the_scale_of_the_learned_ones(self) -> None:
        problem = Problem("softmax" if "softmax" in LOSSES else "norm_softmax", **OFF)
        with torch.no_grad():
            problem.base.proxies.mul_(7)
            for bias in [problem.base.bias] * (problem.base.bias is not None):
                bias.copy_(torch.tensor([1.0, 2.0, 3.0, 6.0]))
        classes = problem.begin().part.enlarge(problem.batch, Step(0, 0, 0)).classes
        assert classes is not None
        learned = classes.weights[:C].norm(dim=1).mean()
        torch.testing.assert_close(classes.weights[C:].norm(dim=1), learned.expand(C))
        if classes.bias is not None:
            assert classes.bias.tolist() == [1, 2, 3, 6, 3, 3, 3, 3]

    def test_a_loss_without_proxies_is_refused(self) -> None:
        problem = Problem()
        with pytest.raises(ValueError, match="proxies"):
            problem.part.enlarge(Batch(problem.embeddings, problem.labels, None), Step(0, 0, 0))


class TestLoss:
    @pytest.mark.parametrize("reduction", ["mean_all", "separate"])
    def test_reductions_are_the_formula(self, reduction: str) -> None:
        problem = Problem(dtype=torch.float64, reduction=reduction, generated_weight=0.3, ratio=1.0).begin()
        enlarged = problem.part.enlarge(problem.batch, Step(0, 0, 0))
        rows = torch.cat([problem.embeddings, enlarged.embeddings[B:].detach()])
        novel = problem.part.training.novel.weights
        proxies = torch.cat([problem.base.proxies, novel])
        if reduction == "mean_all":
            expected = naive_norm_softmax(rows, enlarged.labels, proxies)
        else:
            real = naive_norm_softmax(rows[:B], enlarged.labels[:B], proxies)
            expected = real + 0.3 * naive_norm_softmax(rows[B:], enlarged.labels[B:], proxies)
        value = problem.loss()
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
        variables = [problem.embeddings, problem.base.proxies, novel]
        for got, wanted in zip(
            torch.autograd.grad(value, variables), torch.autograd.grad(expected, variables), strict=True
        ):
            accuracy = 1e-9 if got.dtype == torch.float64 else 1e-6
            torch.testing.assert_close(got, wanted, rtol=accuracy, atol=accuracy)

    def test_generated_rows_of_weight_zero_are_the_loss_without_them(self) -> None:
        off = Problem(reduction="separate", generated_weight=0).begin()
        assert torch.equal(off.loss(), Problem(ratio=0).begin().loss())

    @pytest.mark.parametrize("novel_proxies", ["trained", "fixed"])
    def test_the_runs_loss_reaches_embeddings_proxies_and_trained_novel_ones(self, novel_proxies: str) -> None:
        problem = Problem(novel_proxies=novel_proxies).begin()
        problem.loss().backward()
        training = problem.part.training
        assert problem.embeddings.grad is not None
        assert problem.base.proxies.grad is not None
        assert (training.novel.weights.grad is not None) == (novel_proxies == "trained")
        assert len(list(problem.part.parameters())) == (novel_proxies == "trained")
        assert training.critic is not None
        for parameter in [*training.generator.parameters(), *training.critic.parameters()]:
            assert parameter.grad is None

    @pytest.mark.parametrize("loss", PROXY_LOSSES)
    @pytest.mark.parametrize("refresh", ["epoch", "step"])
    def test_every_proxy_loss_trains(self, loss: str, refresh: str) -> None:
        for dtype in (torch.float32, torch.float64):
            problem = Problem(loss, dtype=dtype, refresh=refresh, reduction="separate")
            losses = problem.epoch(0) + problem.epoch(1)
            assert torch.tensor(losses).isfinite().all()
            assert all(parameter.isfinite().all() for parameter in problem.part.parameters())
            metrics = problem.part.epoch_metrics()
            assert metrics["synthesis_classes"] == 2 * C
            assert set(metrics) == {
                "synthesis_classes",
                "synthesis_spread",
                "synthesis_novel_cosine",
                "synthesis_critic_gap",
            }

    def test_rows_are_the_same_under_autocast(self) -> None:
        problem = Problem().begin()
        expected = problem.part.enlarge(problem.batch, Step(0, 0, 0))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            enlarged = problem.part.enlarge(problem.batch, Step(0, 0, 0))
        assert enlarged.embeddings.dtype == torch.float32
        assert torch.equal(enlarged.embeddings, expected.embeddings)


def test_functional_losses_agree_with_the_formula_of_these_tests() -> None:
    source = torch.Generator().manual_seed(0)
    rows, proxies = (torch.randn(n, D, generator=source, dtype=torch.float64) for n in (5, C))
    labels = torch.arange(5) % C
    torch.testing.assert_close(F.norm_softmax(rows, labels, proxies), naive_norm_softmax(rows, labels, proxies))
