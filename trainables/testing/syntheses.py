"""What every synthesis must do. Inherit the class in a test module and override `config`; pytest runs the rest.

class TestMySynthesis(SynthesisContract):
    @pytest.fixture
    def config(self):
        return MySynthesis(ratio=0.5)
"""

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.config import RunConfig
from trainables.geometry import unit
from trainables.losses.config import LossConfig
from trainables.losses.registry import LOSSES
from trainables.step import Step
from trainables.synthesis.config import SynthesisConfig
from trainables.testing.toy_training import ToyTraining, same
from trainables.training.config import Training

PREFERRED = ("norm_softmax", "proxy_anchor", "contrastive")
"""Losses that a synthesis is tested with first: pure functions without random draws."""


class SynthesisContract:
    """The contract of a registered synthesis: a configuration with which it acts within `epochs` short epochs.

    Attributes:
        epochs: enough to pass every warm-up and to fill every memory; each has three steps.
    """

    epochs: ClassVar[int] = 3

    @pytest.fixture
    def config(self) -> SynthesisConfig:
        """The synthesis under test; to be overridden."""
        raise NotImplementedError("override the fixture `config` with the configuration of a synthesis")

    @pytest.fixture
    def loss(self, config: SynthesisConfig) -> LossConfig:
        """A loss that the synthesis works with."""
        names = [*(name for name in PREFERRED if name in LOSSES), *sorted(LOSSES)]
        accepted = [name for name in names if refusal(config, loss_config(name)) is None]
        assert accepted, f"synthesis '{config.name}' refuses every registered loss"
        return loss_config(accepted[0])

    def test_configuration(self, config: SynthesisConfig) -> None:
        """It is registered by the default of `name`, survives being written down, and simplifies to a fixed point."""
        assert type(config).model_fields["name"].default == config.name
        assert type(config).model_validate_json(config.model_dump_json()) == config
        assert config.simplified().simplified() == config.simplified()
        assert config.grace_epochs >= 0

    def test_loss_is_a_finite_scalar_with_gradients(self, config: SynthesisConfig, loss: LossConfig) -> None:
        trained = ToyTraining(config, loss).after(self.epochs)
        embeddings = trained.embeddings(trained.next_step).detach().requires_grad_()
        value = trained.value(embeddings, trained.next_step)
        torch.autograd.backward(value)
        assert value.shape == ()
        assert value.isfinite()
        learned = [embeddings.grad, *(parameter.grad for parameter in trained.base.parameters())]
        assert all(gradient is not None and gradient.isfinite().all() and gradient.any() for gradient in learned)

    def test_shapes_belong_together(self, config: SynthesisConfig, loss: LossConfig) -> None:
        batch, enlarged = ToyTraining(config, loss).after(self.epochs).enlarged()
        rows, dim = enlarged.embeddings.shape
        assert rows == len(enlarged.labels) >= len(batch.labels)
        assert dim == batch.embeddings.shape[1]
        assert enlarged.real_rows == len(batch.labels)
        assert enlarged.labels.dtype == batch.labels.dtype
        assert enlarged.embeddings.isfinite().all()
        assert (enlarged.classes is None) == (batch.classes is None)
        if batch.classes is not None and enlarged.classes is not None:
            _check_classes(batch.classes, enlarged)

    def test_real_rows_and_classes_come_first(self, config: SynthesisConfig, loss: LossConfig) -> None:
        batch, enlarged = ToyTraining(config, loss).after(self.epochs).enlarged()
        size = len(batch.labels)
        torch.testing.assert_close(unit(enlarged.embeddings[:size]), unit(batch.embeddings))
        assert torch.equal(enlarged.labels[:size], batch.labels)
        if batch.classes is not None and enlarged.classes is not None:
            first = enlarged.classes.weights[: len(batch.classes.weights)]
            torch.testing.assert_close(unit(first), unit(batch.classes.weights))

    def test_function_of_the_step(self, config: SynthesisConfig, loss: LossConfig) -> None:
        """The same steps give the same bits, whatever the global generators hold; those stay as they are."""
        values = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            values.append([ToyTraining(config, loss).after(self.epochs).last_losses])
            assert torch.equal(torch.get_rng_state(), before)
        assert values[0] == values[1]

    def test_gradcheck(self, config: SynthesisConfig, loss: LossConfig) -> None:
        trained = ToyTraining(config, loss, dtype=torch.float64).after(self.epochs)
        trained.base.eval()
        step, state = trained.next_step, trained.synthesis.state_dict()
        embeddings = trained.embeddings(step).detach().requires_grad_()

        def value(*_: Tensor) -> Tensor:
            trained.renew_synthesis(state)
            return trained.value(embeddings, step)

        assert torch.autograd.gradcheck(value, (embeddings, *trained.base.parameters()))

    @pytest.mark.parametrize("epoch", [1, 2])
    def test_state_round_trip(self, config: SynthesisConfig, loss: LossConfig, epoch: int) -> None:
        """Stopped after an epoch, written as a checkpoint and taken up by another process: the same bits."""
        unbroken = ToyTraining(config, loss).after(self.epochs)
        stored = ToyTraining(config, loss).after(epoch).to_bytes()
        resumed = ToyTraining(config, loss)
        held = list(resumed.synthesis.parameters())
        resumed.from_bytes(stored)
        assert all(a is b for a, b in zip(held, resumed.synthesis.parameters(), strict=True))
        resumed.after(self.epochs)
        assert resumed.last_losses == unbroken.last_losses
        assert same(resumed.state_dict(), unbroken.state_dict())

    def test_state_is_left_alone_by_later_steps(self, config: SynthesisConfig, loss: LossConfig) -> None:
        trained = ToyTraining(config, loss).after(1)
        state = trained.synthesis.state_dict()
        stored = trained.to_bytes()
        trained.after(self.epochs)
        resumed = ToyTraining(config, loss)
        resumed.from_bytes(stored)
        assert same(state, resumed.synthesis.state_dict())

    def test_a_foreign_state_is_refused(self, config: SynthesisConfig, loss: LossConfig) -> None:
        with pytest.raises(ValueError, match="foreign"):
            ToyTraining(config, loss).synthesis.load_state_dict({"foreign": 1})

    @pytest.mark.parametrize("labels", [(1,) * 8, (3, 0), (2, 2)], ids=["one class", "short", "short, one class"])
    def test_narrow_batches(self, config: SynthesisConfig, loss: LossConfig, labels: tuple[int, ...]) -> None:
        trained = ToyTraining(config, loss).after(self.epochs)
        assert trained.train_step(trained.next_step, labels=labels).isfinite()
        assert trained.train_step(trained.later_step).isfinite()
        for parameter in trained.base.parameters():
            assert parameter.isfinite().all()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_embeddings_are_widened(self, config: SynthesisConfig, loss: LossConfig, dtype: torch.dtype) -> None:
        trained = ToyTraining(config, loss).after(self.epochs)
        for step in (trained.next_step, trained.later_step):
            embeddings = trained.embeddings(step).detach().to(dtype).requires_grad_()
            with torch.autocast("cpu", dtype=dtype):
                value = trained.value(embeddings, step)
            (gradient,) = torch.autograd.grad(value, embeddings)
            assert value.dtype == torch.float32
            assert value.isfinite()
            assert gradient.isfinite().all()

    def test_single_precision_follows_double(self, config: SynthesisConfig, loss: LossConfig) -> None:
        single = ToyTraining(config, loss).after(1).last_losses
        double = ToyTraining(config, loss, dtype=torch.float64).after(1).last_losses
        assert single == pytest.approx(double, rel=1e-3, abs=1e-4)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no second device")
    def test_device_move(self, config: SynthesisConfig, loss: LossConfig) -> None:
        """Another device gives nearly the same losses, and takes up the state of this one."""
        here, there = ToyTraining(config, loss), ToyTraining(config, loss, device=torch.device("cuda"))
        assert there.after(1).last_losses == pytest.approx(here.after(1).last_losses, rel=1e-3, abs=1e-4)
        there.from_bytes(here.to_bytes())
        assert there.after(2).last_losses == pytest.approx(here.after(2).last_losses, rel=1e-3, abs=1e-4)

    def test_epoch_metrics(self, config: SynthesisConfig, loss: LossConfig) -> None:
        for name, value in ToyTraining(config, loss).after(self.epochs).synthesis.epoch_metrics().items():
            assert name == name.lower()
            assert isinstance(value, float)
            assert math.isfinite(value)

    @pytest.mark.parametrize("name", sorted(LOSSES))
    def test_every_loss_is_trained_or_refused(self, config: SynthesisConfig, name: str) -> None:
        """No combination fails later than at its configuration."""
        loss = loss_config(name)
        refused = refusal(config, loss)
        if refused is not None:
            assert f"'{name}'" in refused
            return
        trained = ToyTraining(config, loss)
        for epoch in range(1, self.epochs + 1):
            assert all(torch.tensor(trained.after(epoch).last_losses).isfinite())

    def test_a_loss_without_proxies_is_refused_where_they_are_needed(
        self, config: SynthesisConfig, loss: LossConfig
    ) -> None:
        if not config.needs_proxies:
            pytest.skip("needs no proxies")
        toy = ToyTraining(config, loss)
        embeddings = toy.embeddings(toy.next_step)
        with pytest.raises(ValueError, match="proxies"):
            toy.synthesis.enlarge(Batch(embeddings, toy.targets(), None), Step(0, 10**6, 0))


def loss_config(name: str) -> LossConfig:
    """A registered loss with its defaults."""
    config = LOSSES[name].model_validate({"name": name})
    assert isinstance(config, LossConfig)
    return config


def refusal(config: SynthesisConfig, loss: LossConfig) -> str | None:
    """Why an otherwise ordinary run with this synthesis and this loss is impossible; None where it is not.

    A loss that no ordinary run has (one on label distances, for classes) is left to the losses' own refusal.
    """
    training = Training(epochs=10_000, batch_size=16)
    run = RunConfig.model_construct(loss=loss, synthesis=config, training=training)
    return config.refusal(run)


def _check_classes(given: Classes, enlarged: Batch) -> None:
    classes = enlarged.classes
    assert classes is not None
    assert classes.centers_per_class == given.centers_per_class
    assert classes.weights.shape == (classes.count * given.centers_per_class, given.weights.shape[1])
    assert classes.count >= given.count
    assert classes.weights.isfinite().all()
    assert (classes.bias is None) == (given.bias is None)
    assert classes.bias is None or classes.bias.shape == (classes.count,)
    assert 0 <= int(enlarged.labels.min()) <= int(enlarged.labels.max()) < classes.count
    if enlarged.excluded is not None:
        assert enlarged.excluded.shape == (len(enlarged.labels), classes.count)
        assert not enlarged.excluded.gather(1, enlarged.labels[:, None]).any()
