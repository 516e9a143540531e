"""What every base loss must do. Inherit the class in a test module and override `config`; pytest runs the rest.

class TestMyLoss(LossContract):
    @pytest.fixture
    def config(self):
        return MyLoss(scale=3.0)
"""

import io
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from trainables.batch import Batch
from trainables.losses.config import LossConfig
from trainables.losses.module import BaseLoss
from trainables.randomness import generator, isolated_rng

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class LossContract:
    """The contract of a registered loss.

    Attributes:
        num_classes: C of the batches.
        embedding_dim: D of the batches.
        labels: [B] of the batches; two rows or more of a class are needed for pairs.
        alone: whether a loss on label distances is defined on a single row.
    """

    num_classes: ClassVar[int] = 5
    embedding_dim: ClassVar[int] = 6
    labels: ClassVar[tuple[int, ...]] = (0, 1, 2, 3, 0, 1, 2, 2)

    @pytest.fixture
    def config(self) -> LossConfig:
        """The loss under test; to be overridden."""
        raise NotImplementedError("override the fixture `config` with the configuration of a loss")

    def built(self, config: LossConfig, *, seed: int = 0) -> BaseLoss:
        """The loss with its initial proxies, in training mode."""
        return BaseLoss(config, num_classes=self.num_classes, embedding_dim=self.embedding_dim, seed=seed)

    def batch(
        self, loss: BaseLoss, *, labels: tuple[int, ...] | None = None, dtype: torch.dtype = torch.float32
    ) -> Batch:
        """Random embeddings, the same in every precision, with what else the loss looks at."""
        labels = self.labels if labels is None else labels
        source = generator(0, "loss contract", len(labels))
        embeddings = torch.randn(len(labels), self.embedding_dim, generator=source, dtype=torch.float64)
        targets = torch.tensor(labels, dtype=torch.int64)
        if loss.config.target == "distance":
            targets = torch.rand(max(0, len(labels) - 1), generator=source, dtype=torch.float64) + 0.1
            targets = targets.to(torch.promote_types(dtype, torch.float32))
        return Batch(embeddings.to(dtype).requires_grad_(), targets, loss.classes)

    def test_configuration(self, config: LossConfig) -> None:
        """It is registered by the default of `name`, and survives being written down."""
        assert type(config).model_fields["name"].default == config.name
        assert type(config).model_validate_json(config.model_dump_json()) == config

    def test_classes_fit_the_embedding(self, config: LossConfig) -> None:
        classes = self.built(config).classes
        assert (classes is not None) == config.has_proxies
        if classes is not None:
            assert classes.count == self.num_classes
            assert classes.weights.shape == (self.num_classes * config.centers, self.embedding_dim)
            assert (classes.bias is not None) == config.has_bias
            assert classes.bias is None or classes.bias.shape == (self.num_classes,)

    def test_scalar_that_is_finite_and_has_gradients(self, config: LossConfig) -> None:
        loss = self.built(config)
        batch = self.batch(loss)
        value = evaluated(loss, batch)
        assert value.shape == ()
        torch.autograd.backward(value)
        learned = [batch.embeddings.grad, *(parameter.grad for parameter in loss.parameters())]
        assert all(gradient is not None and gradient.isfinite().all() and gradient.any() for gradient in learned)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
    def test_precision_is_at_least_single(self, config: LossConfig, dtype: torch.dtype) -> None:
        loss = self.built(config).to(torch.promote_types(dtype, torch.float32))
        value = evaluated(loss, self.batch(loss, dtype=dtype))
        assert value.dtype == torch.promote_types(dtype, torch.float32)
        assert value.isfinite()

    def test_finite_under_bfloat16_autocast(self, config: LossConfig) -> None:
        loss = self.built(config)
        batch = self.batch(loss)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = evaluated(loss, batch)
        torch.autograd.backward(value)
        assert value.dtype == torch.float32
        assert value.isfinite()
        assert finite_gradients(loss, batch)
        torch.testing.assert_close(value, evaluated(self.built(config), batch), rtol=1e-4, atol=1e-4)

    def test_gradcheck(self, config: LossConfig) -> None:
        loss = self.built(config).double().eval()
        batch = self.batch(loss, dtype=torch.float64)
        parameters = dict(loss.named_parameters())

        def value(embeddings: Tensor, *values: Tensor) -> Tensor:
            given = dict(zip(parameters, values, strict=True))
            with isolated_rng(0, "loss contract"):
                result: Tensor = torch.func.functional_call(_Call(loss), _inside(given), (embeddings, batch.labels))
            return result

        assert torch.autograd.gradcheck(value, (batch.embeddings, *parameters.values()))

    def test_deterministic(self, config: LossConfig) -> None:
        first, second = self.built(config), self.built(config)
        assert torch.equal(evaluated(first, self.batch(first)), evaluated(second, self.batch(second)))

    def test_device_move(self, config: LossConfig) -> None:
        """Every tensor goes along, and the other device (where there is one) gives the same value."""
        loss = self.built(config)
        batch = self.batch(loss)
        expected = evaluated(loss, batch)
        moved = self.built(config).to(DEVICE)
        there = Batch(batch.embeddings.detach().to(DEVICE), batch.labels.to(DEVICE), moved.classes)
        torch.testing.assert_close(evaluated(moved, there).cpu(), expected, rtol=1e-4, atol=1e-4)
        assert all(tensor.device.type == "meta" for tensor in held_tensors(self.built(config).to("meta")))

    def test_state_round_trip(self, config: LossConfig) -> None:
        """After a step, the state written down and read back gives the same next step."""
        source, target, stored = self.built(config, seed=0), self.built(config, seed=1), io.BytesIO()
        evaluated(source, self.batch(source))
        torch.save(source.state_dict(), stored)
        stored.seek(0)
        target.load_state_dict(torch.load(stored))
        assert torch.equal(evaluated(source, self.batch(source)), evaluated(target, self.batch(target)))

    @pytest.mark.parametrize("labels", [(1, 1, 1, 1), (3,)], ids=["one class", "one row"])
    def test_degenerate_batches_are_finite(self, config: LossConfig, labels: tuple[int, ...]) -> None:
        """Without negatives or without pairs a loss may be 0, but it stays part of the graph."""
        loss = self.built(config)
        batch = self.batch(loss, labels=labels)
        if config.target == "distance" and len(labels) == 1:
            pytest.skip("one row has no label distance")
        value = evaluated(loss, batch)
        torch.autograd.backward(value)
        assert value.isfinite()
        assert finite_gradients(loss, batch)

    def test_empty_batch_is_refused(self, config: LossConfig) -> None:
        loss = self.built(config)
        with pytest.raises(ValueError, match=r"empty|row"):
            evaluated(loss, self.batch(loss, labels=()))

    def test_order_of_the_batch_does_not_matter(self, config: LossConfig) -> None:
        if config.target == "distance":
            pytest.skip("row 0 is the anchor")
        loss = self.built(config).double().eval()
        batch = self.batch(loss, dtype=torch.float64)
        if not torch.equal(evaluated(loss, batch), evaluated(loss, batch, draw=1)):
            pytest.skip("draws its pairs at random")
        order = torch.randperm(len(batch.labels), generator=generator(0, "order"))
        shuffled = Batch(batch.embeddings[order], batch.labels[order], loss.classes)
        torch.testing.assert_close(evaluated(loss, batch), evaluated(loss, shuffled), rtol=1e-12, atol=1e-12)

    def test_excluded_classes_do_not_exist(self, config: LossConfig) -> None:
        """Without every class but its own a row has nothing to learn."""
        if not config.is_softmax:
            pytest.skip("no cross entropy over classes")
        loss = self.built(config).eval()
        batch = self.batch(loss)
        others = torch.ones(len(batch.labels), self.num_classes).scatter(1, batch.labels[:, None], 0).bool()
        without = Batch(batch.embeddings, batch.labels, batch.classes, others)
        none = Batch(batch.embeddings, batch.labels, batch.classes, torch.zeros_like(others))
        assert torch.equal(loss(none), loss(batch))
        assert loss(without) < loss(batch)
        (gradient,) = torch.autograd.grad(loss(without), batch.embeddings)
        assert not gradient.any()

    def test_state_follows_real_rows_of_the_training_alone(self, config: LossConfig) -> None:
        if not config.stateful:
            pytest.skip("no state that follows the training")
        whole, part, idle = self.built(config), self.built(config), self.built(config).eval()
        before = state_of(idle)
        evaluated(idle, self.batch(idle))
        assert same(state_of(idle), before)
        rows = len(self.labels) // 2
        batch = self.batch(whole)
        evaluated(whole, Batch(batch.embeddings, batch.labels, batch.classes, real=rows))
        evaluated(part, Batch(batch.embeddings[:rows], batch.labels[:rows], part.classes))
        assert same(state_of(whole), state_of(part))
        assert not same(state_of(whole), before)

    def test_references(self, config: LossConfig) -> None:
        """Pairs with other rows reach the batch's embeddings; a loss without pairs says so."""
        loss = self.built(config)
        batch = self.batch(loss)
        references, labels = (
            torch.randn(7, self.embedding_dim, generator=generator(0, "references")),
            torch.arange(7) % 3,
        )
        if not config.is_pairwise:
            with pytest.raises(ValueError, match="compares no pairs"):
                loss.against(batch, references, labels)
            return
        with isolated_rng(0, "loss contract"):
            value = loss.against(batch, references, labels)
        (gradient,) = torch.autograd.grad(value, batch.embeddings)
        assert value.shape == ()
        assert gradient.isfinite().all()
        assert gradient.any()


class _Call(nn.Module):
    """A loss as a module of embeddings and labels, on the classes that it holds at the call."""

    def __init__(self, loss: BaseLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        value: Tensor = self.loss(Batch(embeddings, labels, self.loss.classes))
        return value


def _inside(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"loss.{name}": value for name, value in parameters.items()}


def evaluated(loss: BaseLoss, batch: Batch, *, draw: int = 0) -> Tensor:
    """The loss of a batch; what it draws from global generators is a function of `draw`."""
    with isolated_rng(draw, "loss contract"):
        value: Tensor = loss(batch)
    return value


def finite_gradients(loss: BaseLoss, batch: Batch) -> bool:
    """Whether the embeddings have a gradient, and all gradients are finite."""
    gradients = [parameter.grad for parameter in loss.parameters() if parameter.grad is not None]
    gradients += [] if batch.embeddings.grad is None else [batch.embeddings.grad]
    return batch.embeddings.grad is not None and all(bool(gradient.isfinite().all()) for gradient in gradients)


def held_tensors(loss: nn.Module) -> list[Tensor]:
    """Every tensor in a module, registered or not; pytorch-metric-learning, left out, moves its own at each call."""
    values: list[Any] = [*loss.parameters(), *loss.buffers()]
    own = [module for module in loss.modules() if not type(module).__module__.startswith("pytorch_metric_learning.")]
    values += [value for module in own for value in vars(module).values()]
    return [value for value in values if isinstance(value, Tensor)]


def state_of(loss: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's state."""
    return {name: value.clone() for name, value in loss.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two states are equal to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
