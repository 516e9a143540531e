"""A run's way to its rows: exact resume, failures, damaged checkpoints, full disks."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.config import RunConfig
from trainables.errors import LedgerError
from trainables.ledger import Ledger
from trainables.ledger.store import LocalStore
from trainables.strategies.plain import Plain
from trainables.training.fit import Fit
from trainables.training.session import MAX_WORKER_DEATHS, Session, SessionOptions

NOT_RESULTS = {
    *("attempt", "attempts", "started_at", "ended_at", "wall_seconds", "train_seconds", "eval_seconds"),
    *("images_per_second", "study", "origin"),
}


def options(cache: Path, *, generation: int = 1) -> SessionOptions:
    return SessionOptions(study="s", cache=cache, generation=generation, checkpoint_seconds=0)


def finish(run: RunConfig, ledger: Ledger, cache: Path, *, generation: int = 1) -> Session:
    session = Session(run, ledger=ledger, options=options(cache, generation=generation))
    while not session.done:
        session.step()
    return session


def results(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """Every row without what names the attempt or measures time."""
    return {
        table: [
            {key: value for key, value in row.items() if key not in NOT_RESULTS}
            for row in ledger.read(table).to_pylist()
        ]
        for table in ("runs", "epochs", "classes")
    }


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


@pytest.fixture
def undisturbed(tmp_path: Path, tiny_run: RunConfig, private_cache: Path) -> Callable[[RunConfig], Any]:
    def train(run: RunConfig) -> Any:
        reference = Ledger.open(tmp_path / f"reference-{run.run_id()}", create=True)
        finish(run, reference, private_cache)
        return results(reference)

    return train


def test_a_run_commits_its_rows_and_leaves_no_checkpoint(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    finish(tiny_run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert row["status"] == "complete"
    assert row["run_id"] == tiny_run.run_id()
    assert row["epochs_trained"] == 4
    assert row["selected_epoch"] in {1, 2, 3, 4}
    assert 0 < row["test_map_at_r"] < 1
    assert 0 < row["val_map_at_r"] < 1
    assert {"test_recall_at_2", "test_recall_at_8"} <= set(dict(row["extra"]))
    epochs = ledger.read("epochs").to_pylist()
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4]
    best = max(epochs, key=lambda epoch: epoch["val_map_at_r"])
    assert (row["selected_epoch"], row["val_map_at_r"]) == (best["epoch"], best["val_map_at_r"])
    assert all(epoch["test_map_at_r"] is None for epoch in epochs)
    assert len(ledger.read("classes")) == 12
    assert ledger.list("checkpoints/") == []
    assert ledger.live() == []


def test_class_rows_average_to_the_runs_metrics(ledger: Ledger, tiny_run: RunConfig, private_cache: Path) -> None:
    finish(tiny_run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    classes = ledger.read("classes").to_pylist()
    images = sum(entry["images"] for entry in classes)
    mean = sum(entry["map_at_r"] * entry["images"] for entry in classes) / images
    assert mean == pytest.approx(row["test_map_at_r"], abs=1e-12)
    assert images == 12 * 8


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("epochs_before_the_kill", [1, 3, 5])
def test_a_resumed_run_ends_with_the_same_bits(
    ledger: Ledger,
    tiny_run: RunConfig,
    private_cache: Path,
    undisturbed: Callable[[RunConfig], Any],
    refit: bool,
    epochs_before_the_kill: int,
) -> None:
    protocol = tiny_run.protocol.model_copy(update={"refit": refit, "evaluate_every": 2})
    run = tiny_run.model_copy(update={"protocol": protocol})
    first = Session(run, ledger=ledger, options=options(private_cache))
    for _ in range(epochs_before_the_kill):
        first.step()
    torch.manual_seed(123)  # whatever another process draws must not matter
    second = finish(run, ledger, private_cache, generation=2)
    if epochs_before_the_kill < 4:
        assert any("continues after epoch" in line for line in second.lines)
    assert results(ledger) == undisturbed(run)


def test_a_closed_session_saves_what_was_trained(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path, undisturbed: Callable[[RunConfig], Any]
) -> None:
    rarely = SessionOptions(study="s", cache=private_cache, generation=1, checkpoint_seconds=3600)
    session = Session(tiny_run, ledger=ledger, options=rarely)
    session.step()
    session.step()
    assert ledger.list("checkpoints/") == []
    session.close()
    assert len(ledger.list("checkpoints/")) == 1
    resumed = finish(tiny_run, ledger, private_cache, generation=2)
    assert any("continues after epoch 2" in line for line in resumed.lines)
    assert results(ledger) == undisturbed(tiny_run)


@pytest.mark.parametrize("damaged", ["newest", "all"])
def test_damaged_checkpoints_are_reported_and_not_used(
    ledger: Ledger,
    tiny_run: RunConfig,
    private_cache: Path,
    undisturbed: Callable[[RunConfig], Any],
    damaged: str,
) -> None:
    first = Session(tiny_run, ledger=ledger, options=options(private_cache))
    for _ in range(3):
        first.step()
    keys = ledger.list("checkpoints/")
    for key in keys[-1:] if damaged == "newest" else keys:
        path = Path(ledger.location) / key
        path.write_bytes(path.read_bytes()[:-100] + b"x" * 100)
    second = finish(tiny_run, ledger, private_cache, generation=2)
    text = "\n".join(second.lines)
    assert "is not usable" in text
    assert ("continues after epoch 2" in text) == (damaged == "newest")
    assert results(ledger) == undisturbed(tiny_run)


def test_a_committed_run_is_not_trained_again(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(tiny_run, ledger, private_cache)
    monkeypatch.setattr(Fit, "train_epoch", lambda self: pytest.fail("trained a committed run"))
    session = finish(tiny_run, ledger, private_cache, generation=2)
    assert session.status == "complete"
    assert len(ledger.read("runs")) == 1


def test_a_runs_own_error_is_a_row_with_its_traceback(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Plain) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(Plain, "_evaluate", broken)
    session = finish(tiny_run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert (session.status, row["status"]) == ("failed", "failed")
    assert "no such luck" in row["error"]
    assert "in broken" in row["error"]
    assert row["test_map_at_r"] is None


def test_a_diverged_loss_fails_its_run(ledger: Ledger, tiny_run: RunConfig, private_cache: Path) -> None:
    optimizer = {"name": "sgd", "lr": 1e30}
    run = RunConfig.model_validate({**tiny_run.model_dump(), "optimizer": optimizer})
    finish(run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert row["status"] == "failed"
    assert "embeddings hold NaN, infinite or overflowing values" in row["error"]


def test_a_loss_that_is_no_number_fails_its_run(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fit, "_step", lambda self, batch, step: torch.tensor(float("nan")))
    finish(tiny_run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert row["status"] == "failed"
    assert "TrainingError: the training loss became nan in epoch 1" in row["error"]


def test_a_full_disk_is_not_the_runs_fault_and_loses_nothing(
    ledger: Ledger,
    tiny_run: RunConfig,
    private_cache: Path,
    undisturbed: Callable[[RunConfig], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = Session(tiny_run, ledger=ledger, options=options(private_cache))
    session.step()
    original = LocalStore._stage

    def full(self: LocalStore, temporary: Path, data: bytes, *, durable: bool) -> None:
        temporary.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalStore, "_stage", full)
    with pytest.raises(LedgerError, match=r"No space left on device.*free some space"):
        for _ in range(4):
            session.step()
    monkeypatch.setattr(LocalStore, "_stage", original)
    assert ledger.commits() == {}
    finish(tiny_run, ledger, private_cache, generation=2)
    assert results(ledger) == undisturbed(tiny_run)


def test_a_run_that_keeps_killing_its_worker_is_given_up(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    for _ in range(MAX_WORKER_DEATHS):
        ledger.new_attempt(tiny_run.run_id(), generation=1)
    finish(tiny_run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert row["status"] == "failed"
    assert "worker process died 3 times" in row["error"]


def test_kept_weights_give_the_committed_metrics_again(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    run = tiny_run.model_copy(update={"keep": tiny_run.keep.model_copy(update={"weights": "selected"})})
    assert run.run_id() == tiny_run.run_id()
    finish(run, ledger, private_cache)
    from trainables.training import checkpoint
    from trainables.training.data import load_run_data
    from trainables.training.measure import measure

    weights, _ = checkpoint.from_bytes(ledger.get(f"artifacts/{run.run_id()}/weights.pt"))
    data = load_run_data(run, cache=private_cache)
    fit = Fit(run, data, epochs=1)
    fit.load_weights(weights)
    again = measure(run, data, fit.embed(data.split.test), "test").metrics
    assert again["map_at_r"] == ledger.read("runs").to_pylist()[0]["test_map_at_r"]


def test_test_classes_are_looked_at_as_the_protocol_says(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    for test in ("never", "every_eval"):
        protocol = tiny_run.protocol.model_copy(update={"test": test})
        finish(tiny_run.model_copy(update={"protocol": protocol, "seed": len(test)}), ledger, private_cache)
    never, always = sorted(ledger.read("runs").to_pylist(), key=lambda row: row["seed"])
    assert never["test_map_at_r"] is None
    assert never["val_map_at_r"] is not None
    epochs = [row for row in ledger.read("epochs").to_pylist() if row["run_id"] == always["run_id"]]
    assert always["best_test_map_at_r"] == max(row["test_map_at_r"] for row in epochs)
    assert always["test_map_at_r"] == epochs[always["selected_epoch"] - 1]["test_map_at_r"]


def test_the_last_epoch_can_be_selected_without_validation(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    protocol = tiny_run.protocol.model_copy(update={"selection": "last"})
    finish(tiny_run.model_copy(update={"protocol": protocol}), ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert row["selected_epoch"] == 4
    assert row["val_map_at_r"] is None
    assert row["test_map_at_r"] > 0


def test_the_untrained_embedding_is_measured_once(ledger: Ledger, tiny_run: RunConfig, private_cache: Path) -> None:
    run = RunConfig.model_validate({**tiny_run.model_dump(), "strategy": "untrained"})
    finish(run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert row["status"] == "complete"
    assert row["selected_epoch"] is None
    assert row["epochs_trained"] == 0
    assert row["test_map_at_r"] > 0
    assert len(ledger.read("epochs")) == 0
    other = RunConfig.model_validate({**run.model_dump(), "loss": "proxy_anchor", "embedding_dim": 7})
    assert other.run_id() == run.run_id()
