"""Virtual softmax: the further logit of every row, and that it exists for this row alone."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as nnf

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.config import RunConfig
from trainables.losses.module import BaseLoss
from trainables.losses.registry import LOSSES
from trainables.step import Step
from trainables.synthesis.base import Space
from trainables.synthesis.mixing_config import VirtualSoftmax as Config
from trainables.synthesis.virtual_softmax import VirtualSoftmax
from trainables.training.build import build_strategy

STEP = Step(0, 0, 0)
CLASSES, DIM = 4, 5
EXACT = {"rtol": 1e-9, "atol": 1e-9}
SOFTMAX = sorted(name for name, config in LOSSES.items() if getattr(config, "is_softmax", False))


def built(centers: int = 1) -> VirtualSoftmax:
    return VirtualSoftmax(Config(), Space(num_classes=CLASSES, embedding_dim=DIM, centers_per_class=centers))


def base(name: str, **values: Any) -> BaseLoss:
    config: Any = LOSSES[name].model_validate({"name": name, **values})
    loss = BaseLoss(config, num_classes=CLASSES, embedding_dim=DIM, seed=0).double()
    if loss.bias is not None:
        torch.nn.init.normal_(loss.bias, generator=torch.Generator().manual_seed(5))
    return loss


def batch(loss: BaseLoss, rows: int = 6) -> Batch:
    source = torch.Generator().manual_seed(1)
    embeddings = torch.randn(rows, DIM, generator=source, dtype=torch.float64).requires_grad_()
    return Batch(embeddings, torch.tensor([0, 1, 2, 3, 0, 1])[:rows], loss.classes)


def same_values_and_gradients(value: Tensor, naive: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(value, naive, **EXACT)
    gradients = torch.autograd.grad(value, inputs)
    for gradient, expected in zip(gradients, torch.autograd.grad(naive, inputs), strict=True):
        torch.testing.assert_close(gradient, expected, **EXACT)


def test_by_hand() -> None:
    """w_y = (0, 2) and z = (3, 4): the virtual class lies at 2 (0.6, 0.8); logits 6, 8 and 2 * 5 = 10."""
    weights = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    given = Batch(torch.tensor([[3.0, 4.0]]), torch.tensor([1]), Classes(weights))
    result = built().enlarge(given, STEP)
    assert result.classes is not None
    torch.testing.assert_close(result.classes.weights, torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.2, 1.6]]))
    torch.testing.assert_close(given.embeddings @ result.classes.weights.T, torch.tensor([[6.0, 8.0, 10.0]]))
    assert result.excluded is not None
    assert result.excluded.tolist() == [[False, False, False]]


def test_plain_softmax_gets_the_product_of_the_lengths() -> None:
    """With the bias of the real classes, and none of the virtual one."""
    loss = base("softmax")
    given = batch(loss)
    assert loss.proxies is not None
    assert loss.bias is not None
    lengths = loss.proxies[given.labels].norm(dim=1) * given.embeddings.norm(dim=1)
    logits = torch.cat([given.embeddings @ loss.proxies.T + loss.bias, lengths[:, None]], dim=1)
    naive = nnf.cross_entropy(logits, given.labels)
    value = built().loss(loss, given, STEP)
    same_values_and_gradients(value, naive, [given.embeddings, loss.proxies, loss.bias])


@pytest.mark.parametrize("name", ["norm_softmax", "cosface", "arcface"])
def test_on_unit_vectors_the_logit_is_the_scale(name: str) -> None:
    loss = base(name, scale=7.0)
    given = batch(loss)
    assert loss.proxies is not None
    cosine = nnf.normalize(given.embeddings, dim=1) @ nnf.normalize(loss.proxies, dim=1).T
    target = torch.zeros(6, CLASSES, dtype=torch.bool)
    target[range(6), given.labels.tolist()] = True
    if name == "cosface":
        cosine = torch.where(target, cosine - 0.35, cosine)
    if name == "arcface":
        angle = cosine.arccos()
        guarded = torch.where(angle <= torch.pi - 0.5, (angle + 0.5).cos(), cosine - 0.5 * torch.tensor(0.5).sin())
        cosine = torch.where(target, guarded, cosine)
    logits = torch.cat([7.0 * cosine, torch.full((6, 1), 7.0, dtype=torch.float64)], dim=1)
    naive = nnf.cross_entropy(logits, given.labels)
    same_values_and_gradients(built().loss(loss, given, STEP), naive, [given.embeddings, loss.proxies])


def test_proxy_nca_has_a_class_at_distance_zero() -> None:
    loss = base("proxy_nca", scale=3.0)
    given = batch(loss)
    assert loss.proxies is not None
    x, p = (nnf.normalize(vectors, dim=1) for vectors in (given.embeddings, loss.proxies))
    distances = (x[:, None] - p[None]).square().sum(dim=2)
    logits = torch.cat([-3.0 * distances, torch.zeros(6, 1, dtype=torch.float64)], dim=1)
    naive = nnf.cross_entropy(logits, given.labels)
    same_values_and_gradients(built().loss(loss, given, STEP), naive, [given.embeddings, loss.proxies])


def test_soft_triple_gets_equal_centers() -> None:
    loss = base("soft_triple", centers_per_class=3, scale=5.0, tau=0.0)
    given, synthesis = batch(loss), built(centers=3)
    result = synthesis.enlarge(given, STEP)
    assert result.classes is not None
    assert loss.proxies is not None
    assert (result.classes.centers_per_class, result.classes.count) == (3, CLASSES + 6)
    virtual = result.classes.weights[CLASSES * 3 :].reshape(6, 3, DIM)
    mean_length = loss.proxies.reshape(CLASSES, 3, DIM).norm(dim=2).mean(dim=1)[given.labels]
    for center in range(3):
        expected = mean_length[:, None] * given.embeddings / given.embeddings.norm(dim=1, keepdim=True)
        torch.testing.assert_close(virtual[:, center], expected, **EXACT)
    cosine = (nnf.normalize(given.embeddings, dim=1) @ nnf.normalize(loss.proxies, dim=1).T).reshape(6, CLASSES, 3)
    per_class = ((cosine / 0.1).softmax(dim=2) * cosine).sum(dim=2)
    logits = 5.0 * torch.cat([per_class, torch.ones(6, 1, dtype=torch.float64)], dim=1)
    logits[range(6), given.labels.tolist()] -= 5.0 * 0.01
    naive = nnf.cross_entropy(logits, given.labels)
    same_values_and_gradients(synthesis.loss(loss, given, STEP), naive, [given.embeddings, loss.proxies])


def test_the_regularizer_of_soft_triple_counts_virtual_classes() -> None:
    """4 classes with centers at right angles, each pair sqrt(2) apart; 6 virtual ones, whose centers coincide."""
    values = []
    for tau in (0.0, 1.0):
        loss = base("soft_triple", centers_per_class=3, tau=tau)
        assert loss.proxies is not None
        loss.proxies.data = torch.eye(3, DIM, dtype=torch.float64).repeat(CLASSES, 1)
        values.append(built(centers=3).loss(loss, batch(loss), STEP).item())
    by_hand = (4 * math.sqrt(2 + 1e-5) + 6 * math.sqrt(1e-5)) / 10 / 2
    assert values[1] - values[0] == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize("name", SOFTMAX)
def test_every_softmax_takes_it(name: str) -> None:
    """The loss grows, since every row has one more class to be told from; the gradient stays finite."""
    loss = base(name)
    given = batch(loss)
    value = built(loss.config.centers).loss(loss, given, STEP)
    if name not in ("soft_triple", "curricularface"):  # whose other terms change too
        assert value > loss(given)
    value.backward()  # type: ignore[no-untyped-call]
    assert given.embeddings.grad is not None
    assert given.embeddings.grad.isfinite().all()


def test_classes_of_other_rows_do_not_exist() -> None:
    loss = base("norm_softmax")
    earlier = torch.zeros(6, CLASSES, dtype=torch.bool)
    earlier[0, 3] = True
    given = batch(loss)
    result = built().enlarge(Batch(given.embeddings, given.labels, given.classes, excluded=earlier, real=6), STEP)
    assert result.excluded is not None
    assert torch.equal(result.excluded[:, :CLASSES], earlier)
    assert torch.equal(result.excluded[:, CLASSES:], ~torch.eye(6, dtype=torch.bool))
    assert torch.equal(result.labels, given.labels), "no virtual class is a target"
    assert (result.embeddings is given.embeddings, result.real) == (True, 6)


def test_the_loss_of_a_row_does_not_depend_on_the_other_rows() -> None:
    loss = base("softmax")
    whole = batch(loss)
    alone = [
        built().loss(loss, Batch(whole.embeddings[i : i + 1], whole.labels[i : i + 1], loss.classes), STEP)
        for i in range(6)
    ]
    torch.testing.assert_close(built().loss(loss, whole, STEP), torch.stack(alone).mean(), **EXACT)


def test_gradcheck_through_the_enlarged_classes() -> None:
    loss = base("softmax")
    given = batch(loss)

    def call(embeddings: Tensor, weights: Tensor) -> Tensor:
        return built().loss(loss, Batch(embeddings, given.labels, Classes(weights, loss.bias)), STEP)

    assert torch.autograd.gradcheck(call, (given.embeddings, loss.proxies))


def test_an_embedding_without_direction_stays_finite() -> None:
    loss = base("softmax")
    embeddings = torch.zeros(2, DIM, dtype=torch.float64, requires_grad=True)
    value = built().loss(loss, Batch(embeddings, torch.tensor([0, 1]), loss.classes), STEP)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.isfinite()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_bfloat16_autocast() -> None:
    loss = base("norm_softmax").float()
    given = batch(loss)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = built().loss(loss, Batch(given.embeddings.bfloat16(), given.labels, loss.classes), STEP)
    exact = built().loss(loss, Batch(given.embeddings.float(), given.labels, loss.classes), STEP)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, exact, rtol=0.02, atol=0.02)


def test_losses_without_proxies_are_refused() -> None:
    with pytest.raises(ValueError, match="has none"):
        built().enlarge(Batch(torch.zeros(2, DIM), torch.tensor([0, 1]), None), STEP)


def test_a_spec_with_another_loss_is_refused_with_those_that_are_possible() -> None:
    with pytest.raises(ValidationError, match=r"loss 'proxy_anchor' is none; possible with .*norm_softmax"):
        RunConfig.model_validate({"loss": "proxy_anchor", "synthesis": "virtual_softmax"})
    RunConfig.model_validate({"loss": "norm_softmax", "synthesis": "virtual_softmax"})


def test_a_run_trains(tiny_run: RunConfig, private_cache: Path) -> None:
    run = RunConfig.model_validate({**tiny_run.model_dump(), "synthesis": "virtual_softmax"})
    losses = []
    for changed in (run, run.model_copy(update={"synthesis": RunConfig().synthesis})):
        strategy: Any = build_strategy(changed, cache=private_cache)
        losses.append(strategy.epoch()["train_loss"])
    assert losses[0] > losses[1]
