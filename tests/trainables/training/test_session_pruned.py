"""A run that falls behind its cutoffs ends itself: committed as pruned, the same way whenever it is killed."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.training.cutoffs import Cutoffs
from trainables.training.session import Session, SessionOptions

UNREACHABLE = {2: 0.0, 3: 2.0}
"""Metrics are fractions, so the run stops at epoch 3; epoch 1 is its warm-up."""
_NOT_RESULTS = {
    *("attempt", "attempts", "started_at", "ended_at", "wall_seconds", "train_seconds", "eval_seconds"),
    *("images_per_second", "study", "origin"),
}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


def opened(
    run: RunConfig, ledger: Ledger, cache: Path, *, cutoffs: Cutoffs = UNREACHABLE, generation: int = 1
) -> Session:
    options = SessionOptions(study="s", cache=cache, generation=generation, checkpoint_seconds=0)
    return Session(run, ledger=ledger, options=options, cutoffs=cutoffs)


def finish(session: Session) -> Session:
    while not session.done:
        session.step()
    return session


def results(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """Every row without what names the attempt or measures time."""
    return {
        table: [{k: v for k, v in row.items() if k not in _NOT_RESULTS} for row in ledger.read(table).to_pylist()]
        for table in ("runs", "epochs", "classes")
    }


def test_a_run_below_its_cutoff_is_committed_as_pruned(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    session = finish(opened(tiny_run, ledger, private_cache))
    assert (session.status, session.epochs_done) == ("pruned", 3)
    assert any(
        "stopped after epoch 3: val_map_at_r 0." in line and "cutoff is 2.0000" in line for line in session.lines
    )
    assert [commit.status for commit in ledger.commits().values()] == ["pruned"]
    (row,) = ledger.read("runs").to_pylist()
    assert (row["status"], row["epochs"], row["epochs_trained"], row["fidelity"]) == ("pruned", 4, 3, 0.75)
    assert all(row[key] is None for key in row if key.startswith(("test_", "best_test_")))
    assert not any(key.startswith("test_") for key in dict(row["extra"]))
    assert row["error"] is None and row["final_train_loss"] > 0
    epochs = ledger.read("epochs").to_pylist()
    assert [each["epoch"] for each in epochs] == [1, 2, 3]
    assert all(0 < each["val_map_at_r"] < 1 for each in epochs)
    assert len(ledger.read("classes")) == 0
    assert ledger.list("checkpoints/") == [] and ledger.live() == []


@pytest.mark.parametrize("cutoffs", [{}, {2: 0.0, 3: 0.0}, {1: 2.0}])
def test_a_run_above_its_cutoffs_is_the_run_without_any(
    cutoffs: Cutoffs, ledger: Ledger, tiny_run: RunConfig, private_cache: Path, tmp_path: Path
) -> None:
    assert finish(opened(tiny_run, ledger, private_cache, cutoffs=cutoffs)).status == "complete"
    without = Ledger.open(tmp_path / "without", create=True)
    finish(opened(tiny_run, without, private_cache, cutoffs={}))
    assert results(ledger) == results(without)


@pytest.mark.parametrize("epochs_before_the_kill", [1, 2])
def test_a_resumed_run_stops_at_the_same_epoch(
    epochs_before_the_kill: int, ledger: Ledger, tiny_run: RunConfig, private_cache: Path, tmp_path: Path
) -> None:
    first = opened(tiny_run, ledger, private_cache)
    for _ in range(epochs_before_the_kill):
        first.step()
    torch.manual_seed(123)  # whatever another process draws must not matter
    second = finish(opened(tiny_run, ledger, private_cache, generation=2))
    assert any(f"continues after epoch {epochs_before_the_kill}" in line for line in second.lines)
    undisturbed = Ledger.open(tmp_path / "undisturbed", create=True)
    finish(opened(tiny_run, undisturbed, private_cache))
    assert results(ledger) == results(undisturbed)


def test_epochs_beyond_the_stop_do_not_count(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path, tmp_path: Path
) -> None:
    """A checkpoint of an attempt without cutoffs may be further than the search lets the run come."""
    before = opened(tiny_run, ledger, private_cache, cutoffs={})
    for _ in range(3):
        before.step()
    finish(opened(tiny_run, ledger, private_cache, cutoffs={2: 2.0}, generation=2))
    undisturbed = Ledger.open(tmp_path / "undisturbed", create=True)
    finish(opened(tiny_run, undisturbed, private_cache, cutoffs={2: 2.0}))
    assert results(ledger) == results(undisturbed)
    assert results(ledger)["runs"][0]["fidelity"] == 0.5


def test_a_worker_that_dies_after_the_commit_trains_nothing_again(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    finish(opened(tiny_run, ledger, private_cache))
    again = opened(tiny_run, ledger, private_cache)
    again.step()
    assert (again.done, again.status, again.attempt) == (True, "pruned", "")


def test_a_pruned_run_is_due_for_others(ledger: Ledger, tiny_run: RunConfig, private_cache: Path) -> None:
    finish(opened(tiny_run, ledger, private_cache))
    assert finish(opened(tiny_run, ledger, private_cache, cutoffs={}, generation=2)).status == "complete"
    (row,) = ledger.read("runs").to_pylist()
    assert (row["status"], row["epochs_trained"], row["fidelity"]) == ("complete", 4, 1.0)
    assert row["test_map_at_r"] > 0
