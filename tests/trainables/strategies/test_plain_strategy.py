"""The plain strategy: which epoch is selected, what a refit repeats, what it reports."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.config import RunConfig
from trainables.strategies.base import Outcome
from trainables.strategies.plain import Plain
from trainables.training import checkpoint
from trainables.training.build import build_strategy
from trainables.training.fit import Fit


def with_protocol(run: RunConfig, **values: Any) -> RunConfig:
    return run.model_copy(update={"protocol": run.protocol.model_copy(update=values)})


def built(run: RunConfig, cache: Path) -> Plain:
    strategy = build_strategy(run, cache=cache)
    assert isinstance(strategy, Plain)
    return strategy


def finished(run: RunConfig, cache: Path) -> tuple[list[dict[str, Any]], Outcome, Plain]:
    strategy = built(run, cache)
    rows = []
    while not strategy.finished:
        rows.append(strategy.epoch())
    return rows, strategy.outcome(), strategy


@pytest.mark.parametrize(
    ("values", "every", "selected"),
    [
        ([0.1, 0.4, 0.3, 0.2], 1, 2),
        ([0.1, 0.4, 0.4, 0.2], 1, 2),  # the earliest of equals
        ([0.0, 0.0, 0.0, 0.0], 1, 1),
        ([0.1, 0.2], 2, 4),
        ([0.3, 0.2], 3, 3),  # epoch 3, and the last one always
        ([0.5], 9, 4),
    ],
)
def test_the_best_evaluated_epoch_is_selected_with_its_weights(
    tiny_run: RunConfig, private_cache: Path, scores: list[float], values: list[float], every: int, selected: int
) -> None:
    scores.extend(values)
    run = with_protocol(tiny_run, evaluate_every=every, test="never")
    _, outcome, _ = finished(run, private_cache)
    assert outcome.selected_epoch == selected
    assert outcome.validation == {"map_at_r": max(values)}
    again = built(run, private_cache).fit
    for _ in range(selected):
        again.train_epoch()
    expected = again.weights()["model"]
    assert all(torch.equal(outcome.weights["model"][key], value) for key, value in expected.items())


def test_a_refit_is_the_same_training_on_all_classes_up_to_the_selected_epoch(
    tiny_run: RunConfig, private_cache: Path, scores: list[float]
) -> None:
    scores.extend([0.1, 0.4, 0.3, 0.2])
    run = with_protocol(tiny_run, refit=True, test="never")
    rows, outcome, strategy = finished(run, private_cache)
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        *(("select", epoch) for epoch in (1, 2, 3, 4)),
        *(("refit", epoch) for epoch in (1, 2)),
    ]
    assert [row["lr"] for row in rows[4:]] == [row["lr"] for row in rows[:2]]
    assert (outcome.selected_epoch, outcome.validation) == (2, {"map_at_r": 0.4})
    alone = Fit(run, strategy.all_classes, epochs=2)
    for _ in range(2):
        alone.train_epoch()
    expected = alone.weights()
    for part in ("model", "loss"):
        assert all(torch.equal(outcome.weights[part][key], value) for key, value in expected[part].items())


def test_a_refit_forgets_the_weights_and_the_test_metrics_of_the_phase_before(
    tiny_run: RunConfig, private_cache: Path
) -> None:
    run = with_protocol(tiny_run, refit=True, test="every_eval")
    strategy = built(run, private_cache)
    for _ in range(4):
        strategy.epoch()
    assert strategy.selected["weights"]
    rows = []
    while not strategy.finished:
        rows.append(strategy.epoch())
        assert strategy.state_dict()["selected"]["weights"] == {}
    assert strategy.outcome().best_test["map_at_r"] == max(row["test_map_at_r"] for row in rows)


def test_a_refit_goes_on_from_its_checkpoint_to_the_same_result(tiny_run: RunConfig, private_cache: Path) -> None:
    run = with_protocol(tiny_run, refit=True, test="every_eval", evaluate_every=3)  # epoch 3 or 4: two epochs at least
    _, expected, _ = finished(run, private_cache)
    stopped = built(run, private_cache)
    for _ in range(5):
        stopped.epoch()
    state, _ = checkpoint.from_bytes(checkpoint.to_bytes(stopped.state_dict(), []))
    resumed = built(run, private_cache)
    resumed.load_state_dict(state)
    assert (resumed.phase, resumed.epochs_done) == ("refit", 5)
    while not resumed.finished:
        resumed.epoch()
    outcome = resumed.outcome()
    assert (outcome.test, outcome.best_test) == (expected.test, expected.best_test)
    assert (outcome.selected_epoch, outcome.validation) == (expected.selected_epoch, expected.validation)
