"""A run ends where validation stops improving, and counts as complete."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from trainables.config import RunConfig
from trainables.strategies.plain import Plain
from trainables.training import checkpoint
from trainables.training.build import build_strategy
from trainables.training.record import run_row


def patient(run: RunConfig, **values: Any) -> RunConfig:
    protocol = {**run.protocol.model_dump(), "test": "never", **values}
    training = {**run.training.model_dump(), "epochs": 9}
    return RunConfig.model_validate({**run.model_dump(), "protocol": protocol, "training": training})


def built(run: RunConfig, cache: Path) -> Plain:
    strategy = build_strategy(run, cache=cache)
    assert isinstance(strategy, Plain)
    return strategy


@pytest.mark.parametrize(
    ("patience", "every", "values", "epochs"),
    [
        (1, 1, [0.1, 0.2, 0.2], 3),  # an equal value is no better one
        (2, 1, [0.1, 0.05, 0.2, 0.1, 0.2], 5),
        (3, 1, [0.5, 0.1, 0.2, 0.3], 4),
        (2, 2, [0.1, 0.2, 0.1, 0.1], 8),
        (1, 4, [0.3, 0.2], 8),
        (2, 4, [0.3, 0.2, 0.1], 9),  # the last epoch is always evaluated
        (9, 1, [0.1] * 9, 9),
    ],
)
def test_a_run_ends_after_so_many_evaluations_without_a_better_one(
    tiny_run: RunConfig,
    private_cache: Path,
    scores: list[float],
    patience: int,
    every: int,
    values: list[float],
    epochs: int,
) -> None:
    scores.extend(values)
    strategy = built(patient(tiny_run, patience=patience, evaluate_every=every), private_cache)
    rows = []
    while not strategy.finished:
        assert strategy.epochs_planned == 9
        rows.append(strategy.epoch())
    assert (len(rows), strategy.epochs_done, strategy.epochs_planned) == (epochs, epochs, epochs)
    assert strategy.outcome().selected_epoch == every * (1 + values.index(max(values)))


def test_no_evaluation_of_a_warm_up_counts(
    tiny_run: RunConfig, private_cache: Path, scores: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch is the first, the warm-up lasts five epochs: those at 6 and 8 are the two that count."""
    monkeypatch.setattr(type(tiny_run.synthesis), "grace_epochs", property(lambda self: 5))
    scores.extend([0.3, 0.1, 0.1, 0.2])
    strategy = built(patient(tiny_run, patience=2, evaluate_every=2), private_cache)
    while not strategy.finished:
        strategy.epoch()
    assert strategy.epochs_done == 8


def test_no_evaluation_counts_before_the_queue_of_memvir_is_full(
    tiny_run: RunConfig, private_cache: Path, scores: list[float]
) -> None:
    """72 images in batches of 16 are 4 steps; 1 epoch of warm-up and 3 * (2 + 1) = 9 steps end in epoch 4."""
    memory = {"name": "memvir", "steps": 3, "gap": 2, "warmup_epochs": 1}
    run = RunConfig.model_validate({**patient(tiny_run, patience=1).model_dump(), "synthesis": memory})
    scores.extend([0.3, 0.1, 0.1, 0.1, 0.1])
    strategy = built(run, private_cache)
    assert strategy.fit.steps_per_epoch() == 4
    while not strategy.finished:
        strategy.epoch()
    assert strategy.epochs_done == 5


def test_a_refit_follows_the_shorter_selection(tiny_run: RunConfig, private_cache: Path, scores: list[float]) -> None:
    run = patient(tiny_run, patience=1, refit=True)
    scores.extend([0.1, 0.2, 0.1])
    strategy = built(run, private_cache)
    seen = []
    while not strategy.finished:
        strategy.epoch()
        seen.append((strategy.phase, strategy.epochs_done))
        state = checkpoint.from_bytes(checkpoint.to_bytes(strategy.state_dict(), []))[0]
        again = built(run, private_cache)
        again.load_state_dict(state)
        assert (again.epochs_done, again.finished) == (strategy.epochs_done, strategy.finished)
    assert seen == [("select", 1), ("select", 2), ("select", 3), ("refit", 4), ("refit", 5)]
    assert strategy.epochs_planned == 5


@pytest.mark.parametrize(("status", "fidelity"), [("complete", 1.0), ("failed", 1 / 3)])
def test_an_ended_run_is_complete_at_full_fidelity(tiny_run: RunConfig, status: str, fidelity: float) -> None:
    row = run_row(
        patient(tiny_run, patience=1),
        run_id="0" * 16,
        attempt="0001_01",
        attempts=1,
        status=status,
        study="s",
        outcome=None,
        epochs_trained=3,
        epoch_rows=[],
        started_at=datetime.now(UTC),
        wall_seconds=1.0,
        error=None,
    )
    assert (row["epochs"], row["epochs_trained"], row["fidelity"]) == (9, 3, fidelity)


def test_patience_counts_in_the_identity_only_where_it_can_matter() -> None:
    plain = RunConfig()
    assert patient(plain, patience=None).run_id() != patient(plain, patience=5).run_id()
    last = {"selection": "last"}
    assert patient(plain, patience=5, **last).run_id() == patient(plain, **last).run_id()
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        patient(plain, patience=0)
