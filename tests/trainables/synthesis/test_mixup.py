"""Input mixup and manifold mixup: one weight and permutation per step, mixed values, weighted losses of two labels."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from trainables.backbones.build import build_backbone
from trainables.backbones.config import BACKBONES
from trainables.batch import Batch
from trainables.classes import Classes
from trainables.config import RunConfig
from trainables.losses.module import BaseLoss
from trainables.losses.registry import LOSSES
from trainables.model import EmbeddingModel
from trainables.step import Step
from trainables.synthesis import mixing_config as configs
from trainables.synthesis.base import Space
from trainables.synthesis.mixup import InputMixup, ManifoldMixup, Mixture, stages
from trainables.training.build import build_strategy

STEP = Step(seed=3, epoch=1, index=2)
SPACE = Space(num_classes=4, embedding_dim=5)
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def input_mixup() -> InputMixup:
    return InputMixup(configs.InputMixup(mixup_alpha=0.7), SPACE)


def manifold_mixup() -> ManifoldMixup:
    return ManifoldMixup(configs.ManifoldMixup(mixup_alpha=0.7), SPACE)


def conv4_model() -> EmbeddingModel:
    config = BACKBONES["conv4"].model_validate({"name": "conv4", "width": 4})
    backbone = build_backbone(config, channels=1, seed=0)  # type: ignore[arg-type]
    torch.manual_seed(0)
    return EmbeddingModel(backbone, nn.Linear(4, 5)).double()


def images(count: int = 6) -> Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def base(name: str = "norm_softmax") -> BaseLoss:
    config: Any = LOSSES[name](name=name)
    return BaseLoss(config, num_classes=4, embedding_dim=5, seed=0).double()


def batch(loss: BaseLoss, rows: int = 6) -> Batch:
    source = torch.Generator().manual_seed(1)
    embeddings = torch.randn(rows, 5, generator=source, dtype=torch.float64).requires_grad_()
    return Batch(embeddings, torch.tensor([0, 1, 2, 3, 0, 1])[:rows], loss.classes)


class TestMixture:
    def test_by_hand(self) -> None:
        mixture = Mixture(0.25, torch.tensor([2, 0, 1]))
        mixed = mixture.of(torch.tensor([[4.0, 0.0], [8.0, 4.0], [0.0, 12.0]]))
        assert mixed.tolist() == [[1.0, 9.0], [5.0, 1.0], [6.0, 6.0]]
        assert mixture.partners_of(torch.tensor([7, 8, 9])).tolist() == [9, 7, 8]

    def test_a_function_of_the_step_and_of_nothing_else(self) -> None:
        torch.manual_seed(0)
        first = Mixture.drawn(STEP, 8, alpha=0.5)
        torch.manual_seed(1)
        again = Mixture.drawn(Step(3, 1, 2), 8, alpha=0.5)
        assert first.weight == again.weight
        assert torch.equal(first.partners, again.partners)
        others = [Mixture.drawn(Step(*key), 8, alpha=0.5) for key in [(4, 1, 2), (3, 0, 2), (3, 1, 3)]]
        assert len({first.weight, *(other.weight for other in others)}) == 4

    @pytest.mark.parametrize(("alpha", "deviation"), [(0.4, 0.3727), (1.0, 0.2887), (8.0, 0.1213)])
    def test_weights_follow_the_beta_distribution(self, alpha: float, deviation: float) -> None:
        """The standard deviation of Beta(a, a) is sqrt(1 / (4 (2 a + 1)))."""
        weights = torch.tensor([Mixture.drawn(Step(0, 0, i), 2, alpha=alpha).weight for i in range(4000)])
        assert float(weights.mean()) == pytest.approx(0.5, abs=0.02)
        assert float(weights.std()) == pytest.approx(deviation, abs=0.01)

    def test_every_row_is_a_partner_once(self) -> None:
        assert sorted(Mixture.drawn(STEP, 50, alpha=1).partners.tolist()) == list(range(50))


class TestInputMixup:
    def test_the_network_sees_mixed_images(self) -> None:
        seen: list[Tensor] = []

        class Recorder(nn.Module):
            def forward(self, inputs: Tensor) -> Tensor:
                seen.append(inputs)
                return inputs.flatten(1)

        x, synthesis = images(), input_mixup()
        embedded = synthesis.embed(Recorder(), x, STEP)
        weight, partners = synthesis.mixture(STEP, 6).weight, synthesis.mixture(STEP, 6).partners.tolist()
        naive = torch.stack([weight * x[i] + (1 - weight) * x[partners[i]] for i in range(6)])
        torch.testing.assert_close(seen[0], naive, **EXACT)
        assert torch.equal(embedded, seen[0].flatten(1))

    def test_for_cross_entropies_the_loss_is_that_of_mixed_one_hot_labels(self) -> None:
        loss, synthesis = base(), input_mixup()
        given = batch(loss)
        value = synthesis.loss(loss, given, STEP)
        mixture = synthesis.mixture(STEP, 6)
        assert loss.proxies is not None
        x, p = (nn.functional.normalize(vectors, dim=1) for vectors in (given.embeddings, loss.proxies))
        targets = torch.zeros(6, 4, dtype=torch.float64)
        for row, label in enumerate(given.labels.tolist()):
            targets[row, label] += mixture.weight
            targets[row, int(given.labels[mixture.partners[row]])] += 1 - mixture.weight
        naive = -(targets * (23.0 * x @ p.T).log_softmax(dim=1)).sum(dim=1).mean()
        torch.testing.assert_close(value, naive, **EXACT)
        wanted = torch.autograd.grad(naive, [given.embeddings, loss.proxies])
        for gradient, expected in zip(
            torch.autograd.grad(value, [given.embeddings, loss.proxies]), wanted, strict=True
        ):
            torch.testing.assert_close(gradient, expected, **EXACT)

    @pytest.mark.parametrize("name", ["proxy_anchor", "proxy_nca"])
    def test_any_loss_on_labels_is_weighted(self, name: str) -> None:
        loss, synthesis = base(name), input_mixup()
        given, mixture = batch(loss), synthesis.mixture(STEP, 6)
        second = Batch(given.embeddings, given.labels[mixture.partners], loss.classes)
        naive = mixture.weight * loss(given) + (1 - mixture.weight) * loss(second)
        torch.testing.assert_close(synthesis.loss(loss, given, STEP), naive, **EXACT)

    def test_losses_without_proxies_get_both_labels_too(self) -> None:
        labels_seen: list[list[int]] = []

        class Pairs(BaseLoss):
            def __init__(self) -> None:
                nn.Module.__init__(self)
                self.config = LOSSES["norm_softmax"](name="norm_softmax")  # type: ignore[assignment]

            def forward(self, batch: Batch) -> Tensor:
                labels_seen.append(batch.labels.tolist())
                return torch.tensor(float(len(labels_seen)))

        synthesis = input_mixup()
        given = Batch(torch.zeros(4, 5), torch.tensor([0, 0, 1, 1]), None)
        mixture = synthesis.mixture(STEP, 4)
        value = synthesis.loss(Pairs(), given, STEP)
        assert labels_seen == [[0, 0, 1, 1], given.labels[mixture.partners].tolist()]
        assert float(value) == pytest.approx(mixture.weight * 1 + (1 - mixture.weight) * 2)

    def test_a_loss_that_follows_the_training_counts_a_step_once(self) -> None:
        loss, synthesis = base("curricularface").train(), input_mixup()
        given = batch(loss)
        alone = base("curricularface").train()
        alone(batch(alone))
        synthesis.loss(loss, given, STEP)
        assert torch.equal(loss.state_dict()["function.t"], alone.state_dict()["function.t"])
        assert loss.state_dict()["function.t"] != 0
        assert all(module.training for module in loss.modules())

    def test_one_image_and_odd_batches(self) -> None:
        loss, synthesis = base(), input_mixup()
        one = batch(loss, rows=1)
        torch.testing.assert_close(synthesis.loss(loss, one, STEP), loss(one), **EXACT)
        assert synthesis.embed(conv4_model().eval(), images(1), STEP).shape == (1, 5)
        assert synthesis.loss(loss, batch(loss, rows=5), STEP).isfinite()

    def test_label_distances_are_refused(self) -> None:
        given = Batch(torch.zeros(4, 5), torch.zeros(3), None)
        with pytest.raises(ValueError, match="one class label per row"):
            input_mixup().loss(base(), given, STEP)


class TestStages:
    def test_of_conv4(self) -> None:
        model = conv4_model()
        assert model.backbone is not None
        body: Any = model.backbone.body
        assert stages(model) == [None, *body.blocks, model.backbone]

    def test_of_torchvision_networks(self) -> None:
        def names(architecture: str) -> list[str]:
            config: Any = BACKBONES[architecture](name=architecture)
            backbone = build_backbone(config, channels=3, seed=0)
            known = {module: name for name, module in backbone.named_modules()}
            found = stages(EmbeddingModel(backbone, nn.Linear(1, 1)))
            assert found[0] is None
            return [known[module] for module in found[1:] if module is not None]

        assert names("resnet18") == ["body.layer1", "body.layer2", "body.layer3", "body.layer4", ""]
        assert names("mobilenet_v2") == [*(f"body.features.{index}" for index in range(19)), ""]

    def test_of_cached_features(self) -> None:
        assert stages(EmbeddingModel(None, nn.Linear(4, 5))) == [None]

    def test_of_single_layers(self) -> None:
        class Backbone(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))

        model = nn.Module()
        model.backbone = Backbone()
        assert stages(model) == [None, model.backbone.body[0], model.backbone.body[2], model.backbone]


def step_with(layer: int, model: nn.Module) -> Step:
    """A step that draws the given stage."""
    wanted = stages(model)[layer]
    return next(step for step in (Step(0, 0, i) for i in range(1000)) if manifold_mixup().layer(model, step) is wanted)


class TestManifoldMixup:
    @pytest.mark.parametrize("layer", range(6))
    def test_the_output_of_the_layer_is_mixed(self, layer: int) -> None:
        """Against the forward pass of conv4 written out, in evaluation mode."""
        model, x = conv4_model().eval(), images()
        step = step_with(layer, model)
        weight, partners = (mixture := manifold_mixup().mixture(step, 6)).weight, mixture.partners

        def mix_at(stage: int, values: Tensor) -> Tensor:
            return weight * values + (1 - weight) * values[partners] if stage == layer else values

        assert model.backbone is not None
        body: Any = model.backbone.body
        values = (mix_at(0, x) - 0.5) / 0.5
        for stage, block in enumerate(body.blocks, start=1):
            values = mix_at(stage, block(values))
            if values.shape[-1] > 1:
                values = nn.functional.max_pool2d(values, 2)
        naive = model.head(mix_at(5, values.mean((2, 3))))
        torch.testing.assert_close(manifold_mixup().embed(model, x, step), naive, **EXACT)

    def test_every_layer_is_drawn_equally_often(self) -> None:
        model = conv4_model()
        choices = stages(model)
        drawn = [choices.index(manifold_mixup().layer(model, Step(0, 0, index))) for index in range(3000)]
        assert all(abs(drawn.count(index) - 500) < 80 for index in range(6))

    def test_the_network_is_left_as_it_was(self) -> None:
        model, x = conv4_model().eval(), images()
        expected = model(x)
        for index in range(20):
            manifold_mixup().embed(model, x, Step(0, 0, index))
        assert torch.equal(model(x), expected)
        assert not any(module._forward_hooks for module in model.modules())

    def test_the_hook_goes_when_the_pass_fails(self) -> None:
        model = conv4_model()
        step = step_with(2, model)
        with pytest.raises(RuntimeError):
            manifold_mixup().embed(model, torch.zeros(2, 7, 16, 16, dtype=torch.float64), step)
        assert not any(module._forward_hooks for module in model.modules())

    def test_weight_permutation_and_loss_are_those_of_input_mixup(self) -> None:
        one, other, loss = input_mixup(), manifold_mixup(), base()
        assert one.mixture(STEP, 6).weight == other.mixture(STEP, 6).weight
        assert torch.equal(one.mixture(STEP, 6).partners, other.mixture(STEP, 6).partners)
        assert torch.equal(one.loss(loss, batch(loss), STEP), other.loss(loss, batch(loss), STEP))

    def test_cached_features_are_mixed_before_the_head(self) -> None:
        model = EmbeddingModel(None, nn.Linear(4, 5)).double()
        features = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        mixed = manifold_mixup().mixture(STEP, 6).of(features)
        torch.testing.assert_close(manifold_mixup().embed(model, features, STEP), model.head(mixed), **EXACT)

    def test_a_layer_that_is_not_called_once_is_refused(self) -> None:
        class Twice(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.backbone = nn.Module()
                self.backbone.body = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))

            def forward(self, x: Tensor) -> Tensor:
                result: Tensor = self.backbone.body(self.backbone.body(x))
                return result

        model = Twice()
        with pytest.raises(ValueError, match="called 2 times"):
            manifold_mixup().embed(model, torch.zeros(2, 3), step_with(1, model))
        assert not any(module._forward_hooks for module in model.modules())


class TestRefusals:
    def test_images_of_a_frozen_backbone_are_not_seen(self) -> None:
        frozen = {"backbone": {"name": "conv4", "trainable": False}, "synthesis": "input_mixup"}
        with pytest.raises(ValidationError, match="take synthesis manifold_mixup"):
            RunConfig.model_validate(frozen)
        RunConfig.model_validate({**frozen, "synthesis": "manifold_mixup"})
        RunConfig.model_validate({**frozen, "strategy": "untrained"})

    @pytest.mark.parametrize("name", ["input_mixup", "manifold_mixup"])
    def test_label_distances_have_no_second_label(self, name: str) -> None:
        run = RunConfig().model_copy(update={"loss": _OnDistances(name="on_distances")})
        part = configs.InputMixup() if name == "input_mixup" else configs.ManifoldMixup()
        assert "no second label" in (part.refusal(run) or "")
        assert part.refusal(RunConfig()) is None


class _OnDistances(type(RunConfig().loss)):  # type: ignore[misc]
    name: str
    target = "distance"


@pytest.mark.parametrize(
    ("synthesis", "trainable"), [("input_mixup", True), ("manifold_mixup", True), ("manifold_mixup", False)]
)
def test_runs_train_and_resume_to_the_same_bits(
    tiny_run: RunConfig, private_cache: Path, synthesis: str, trainable: bool
) -> None:
    backbone = {**tiny_run.backbone.model_dump(), "trainable": trainable}
    settings = {**tiny_run.model_dump(), "synthesis": synthesis, "backbone": backbone}
    run = RunConfig.model_validate(settings)
    whole: Any = build_strategy(run, cache=private_cache)
    first: Any = build_strategy(run, cache=private_cache)
    rows = [whole.epoch() for _ in range(2)]
    first.epoch()
    second: Any = build_strategy(run, cache=private_cache)
    second.load_state_dict(first.state_dict())
    resumed = second.epoch()
    assert resumed["train_loss"] == rows[1]["train_loss"]
    assert resumed["val_map_at_r"] == rows[1]["val_map_at_r"]
    plain: Any = build_strategy(run.model_copy(update={"synthesis": RunConfig().synthesis}), cache=private_cache)
    assert plain.epoch()["train_loss"] != rows[0]["train_loss"]


def test_gradients_under_bfloat16_autocast_are_finite() -> None:
    model, loss = conv4_model().float(), base().float()
    for step in (step_with(layer, model) for layer in range(6)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            embeddings = manifold_mixup().embed(model, images().float(), step)
        value = manifold_mixup().loss(
            loss,
            Batch(embeddings, torch.tensor([0, 1, 2, 3, 0, 1]), Classes(loss.proxies)),
            step,  # type: ignore[arg-type]
        )
        value.backward()  # type: ignore[no-untyped-call]
        assert embeddings.dtype == torch.float32
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
