"""Chance constraints: the objective, the penalty, a whole run, and what is refused."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ccp_tools import LOSSES, built, fit_of, with_sections, with_strategy
from pydantic import ValidationError
from torch import Tensor

from trainables.config import RunConfig
from trainables.step import Step
from trainables.strategies import ccp_config as configs


def naive_c2(matrix: list[tuple[Tensor, bool]], rows: int) -> Tensor:
    positives = [distance(pair) - 0.27 for pair, same in matrix if same]
    negatives = [0.54 - distance(pair) for pair, same in matrix if not same]
    return mean_of_active(positives) + mean_of_active(negatives)


def naive_c1(matrix: list[tuple[Tensor, bool]], rows: int) -> Tensor:
    terms = [1 - pair[0] @ pair[1] - 1e-5 if same else pair[0] @ pair[1] - 0.5 for pair, same in matrix]
    return torch.stack([term for term in terms if term > 0]).sum() / rows


def naive_triplet(matrix: list[tuple[Tensor, bool]], rows: int) -> Tensor:
    terms = []
    for row in by_row(matrix, rows):
        positives = [distance(pair) for pair, same in row if same]
        terms += [p - distance(pair) + 0.1 for p in positives for pair, same in row if not same]
    return mean_of_active(terms)


def naive_ms(matrix: list[tuple[Tensor, bool]], rows: int) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for row in by_row(matrix, rows):
        near = far = torch.ones((), dtype=torch.float64)
        for pair, same in row:
            similarity = pair[0] @ pair[1]
            near = near + torch.exp(2 * (0.5 - similarity)) if same else near
            far = far if same else far + torch.exp(40 * (similarity - 0.5))
        total = total + near.log() / 2 + far.log() / 40
    return total / rows


def by_row(matrix: list[tuple[Tensor, bool]], rows: int) -> list[list[tuple[Tensor, bool]]]:
    width = len(matrix) // rows
    return [matrix[start : start + width] for start in range(0, len(matrix), width)]


def distance(pair: Tensor) -> Tensor:
    return (pair[0] - pair[1]).square().sum().sqrt()


def mean_of_active(terms: list[Tensor]) -> Tensor:
    active = [term for term in terms if term > 0]
    return torch.stack(active).mean() if active else torch.zeros((), dtype=torch.float64)


def pairs(rows: Tensor, labels: Tensor, columns: Tensor, column_labels: Tensor) -> list[tuple[Tensor, bool]]:
    """All (anchor, other) pairs row by row on shortened vectors; a row is not compared with itself."""
    itself = rows is columns
    shorten = [v if v.norm() <= 1 else v / v.norm() for v in rows]
    others = shorten if itself else [v if v.norm() <= 1 else v / v.norm() for v in columns]
    return [
        (torch.stack([shorten[i], others[j]]), bool(labels[i] == column_labels[j]))
        for i in range(len(rows))
        for j in range(len(columns))
        if not (itself and i == j)
    ]


NAIVE: dict[str, Callable[[list[tuple[Tensor, bool]], int], Tensor]] = {
    "c1": naive_c1,
    "c2": naive_c2,
    "triplet": naive_triplet,
    "ms": naive_ms,
}


@pytest.mark.parametrize("name", NAIVE)
def test_the_objective_is_the_loss_against_all_proxies_and_a_little_of_the_one_in_the_batch(
    name: str, ccp_run: RunConfig, private_cache: Path
) -> None:
    """Rows are samples, columns are the proxies of all classes, absent ones too; row k * C + c has class c."""
    fit = fit_of(with_sections(ccp_run, loss=LOSSES[name]), private_cache)
    source = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 0, 3, 3, 1])
    embeddings = (0.3 * torch.randn(5, 16, generator=source, dtype=torch.float64)).requires_grad_()
    proxies = 0.3 * torch.randn(2 * fit.classes, 16, generator=source, dtype=torch.float64)
    fit.proxies.data = proxies
    fit.objective(torch.empty(0), embeddings, labels, Step(0, 0, 0)).backward()
    grads = embeddings.grad, fit.proxies.grad
    value = fit.objective(torch.empty(0), embeddings, labels, Step(0, 0, 0))

    ours, theirs = (x.detach().clone().requires_grad_() for x in (embeddings, proxies))
    classes = torch.arange(fit.classes)
    against = NAIVE[name](pairs(ours, labels, theirs, torch.cat([classes, classes])), 5)
    within = NAIVE[name](pairs(ours, labels, ours, labels), 5)
    expected = against + 0.1 * within
    expected.backward()
    assert against > 0
    assert within > 0
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-9)
    for got, wanted in zip(grads, (ours.grad, theirs.grad), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)


def test_without_a_weight_there_is_no_loss_within_the_batch(ccp_run: RunConfig, private_cache: Path) -> None:
    fit = fit_of(with_strategy(ccp_run, pair_weight=0, proxy_weight=2), private_cache)
    embeddings, labels = torch.randn(4, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0, 1, 1])
    alone = fit.loss.function(embeddings, labels, fit.proxies, fit.proxy_labels)
    assert torch.equal(fit.objective(torch.empty(0), embeddings, labels, Step(0, 0, 0)), 2 * alone)


@pytest.mark.parametrize("official_zeros", [False, True])
def test_the_penalty_adds_lambda_times_the_way_from_the_anchor_to_the_network_alone(
    ccp_run: RunConfig, private_cache: Path, official_zeros: bool
) -> None:
    fit = fit_of(ccp_run, private_cache)
    start = fit.weights()["model"]
    anchor = {} if official_zeros else start
    fit.train_epoch()
    fit.train_epoch()
    for parameter in [*fit.model.parameters(), fit.proxies]:
        parameter.grad = torch.full_like(parameter, 0.25)
    fit.edit_gradients()
    assert all(bool((parameter.grad == 0.25).all()) for parameter in fit.model.parameters())  # type: ignore[union-attr]
    fit.set_anchor(anchor, weight=0.5)
    fit.edit_gradients()
    moved = 0.0
    for name, parameter in fit.model.named_parameters():
        away = parameter.detach() - (0 if official_zeros else start[name])
        assert torch.equal(parameter.grad, 0.25 + 0.5 * away)  # type: ignore[arg-type]
        moved += away.abs().sum().item()
    assert moved > 0
    assert bool((fit.proxies.grad == 0.25).all())


def test_frozen_weights_are_not_pulled(ccp_run: RunConfig, private_cache: Path) -> None:
    fit = fit_of(ccp_run, private_cache)
    fit.set_anchor(fit.weights()["model"], weight=0.5)
    fit.model.head.weight.grad, fit.model.head.bias.grad = None, torch.zeros(16)
    fit.edit_gradients()
    assert fit.model.head.weight.grad is None


def test_the_penalty_is_clipped_with_the_gradient(
    ccp_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_sections(ccp_run, training={"epochs": 6, "batch_size": 16, "clip_norm": 0.01})
    fit = fit_of(run, private_cache)
    fit.set_anchor({}, weight=1e3)
    norms: list[float] = []
    parameters = [parameter for group in fit.optimizer.param_groups for parameter in group["params"]]

    def recorded() -> None:
        norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in parameters if p.grad is not None)))

    clip = fit._clip
    monkeypatch.setattr(fit, "_clip", lambda: (recorded(), clip(), recorded()))
    fit.train_epoch()
    assert min(norms[::2]) > 100
    assert max(norms[1::2]) < 0.0101


def test_a_run_on_images_improves_and_reports_its_best_epoch(ccp_run: RunConfig, private_cache: Path) -> None:
    run = with_sections(ccp_run, protocol={"distance": "lipschitz", "patience": 6})
    strategy = built(run, private_cache)
    rows = []
    while not strategy.finished:
        rows.append(strategy.epoch())
    outcome = strategy.outcome()
    scores = [row["val_map_at_r"] for row in rows]
    assert outcome.selected_epoch == 1 + scores.index(max(scores))
    assert outcome.validation["map_at_r"] == max(scores)
    assert all(math.isfinite(row["train_loss"]) for row in rows)
    assert rows[2]["train_loss"] < rows[0]["train_loss"]
    assert 0 < outcome.test["map_at_r"] < 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": "norm_softmax"}, "loss 'norm_softmax' is no pair loss; possible losses: .*contrastive"),
        ({"synthesis": "input_mixup"}, "synthesis 'input_mixup' changes the batch; possible syntheses: none, xbm"),
        ({"protocol": {"selection": "last"}}, "possible: protocol.selection: best_validation"),
        ({"protocol": {"refit": True}}, "possible: protocol.refit: false"),
        ({"strategy": {"name": "ccp", "pool_size": 0}}, "greater than or equal to 1"),
    ],
)
def test_impossible_runs_are_refused_with_what_would_be_possible(
    ccp_run: RunConfig, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        with_sections(ccp_run, **changed)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"pool_size": 1}, {"initialization": "random_samples"}),
        ({"pool_size": 2}, {"pool_size": 16}),
        ({"initialization": "random_samples"}, {"initialization": "random_samples", "center_space": "normalized"}),
        ({"initialization": "random"}, {"initialization": "random", "first_instance": "random", "pool_size": 3}),
        ({"proximal_weight": 0}, {"proximal_weight": 0, "proximal_decay": 0.5}),
        ({"instance": "fixed"}, {"instance": "fixed", "patience": 9}),
        (
            {"instance": "fixed", "compat": "official"},
            {"instance": "fixed", "compat": "official", "min_delta": 1, "rollback": "best"},
        ),
    ],
)
def test_what_cannot_matter_is_dropped(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, other = configs.CCP(**first), configs.CCP(**second)
    assert one != other
    assert one.simplified() == other.simplified()
    assert one.simplified().simplified() == one.simplified()
