"""What a session trains, and what it refuses; whom it blames for what it could not write."""

import errno
from pathlib import Path

import pytest
import torch

from trainables.backbones.config import ResNet18
from trainables.config import RunConfig
from trainables.errors import ConfigError, LedgerError
from trainables.ledger import Ledger
from trainables.ledger.live import worker_deaths
from trainables.ledger.store import LocalStore
from trainables.training.build import set_numerics
from trainables.training.fit import Fit
from trainables.training.session import MAX_WORKER_DEATHS, Session, SessionOptions


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


def session(run: RunConfig, ledger: Ledger, cache: Path) -> Session:
    return Session(run, ledger=ledger, options=SessionOptions("s", cache, generation=1, checkpoint_seconds=0))


def finish(run: RunConfig, ledger: Ledger, cache: Path) -> None:
    going = session(run, ledger, cache)
    while not going.done:
        going.step()


def test_storage_that_fails_again_and_again_is_no_death_of_the_worker(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: LocalStore, temporary: Path, data: bytes, *, durable: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    training = tiny_run.training.model_copy(update={"epochs": 2 * MAX_WORKER_DEATHS})
    run = tiny_run.model_copy(update={"training": training})
    for _ in range(MAX_WORKER_DEATHS):
        attempt = session(run, ledger, private_cache)
        attempt.step()  # a checkpoint
        with monkeypatch.context() as patch:
            patch.setattr(LocalStore, "_stage", full)
            with pytest.raises(LedgerError, match="No space left"):
                attempt.step()
    finish(run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert (row["status"], row["error"]) == ("complete", None)
    assert ledger.live() == []


def test_a_run_on_nodes_that_come_and_go_is_trained_as_long_as_it_gets_on(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    training = tiny_run.training.model_copy(update={"epochs": 2 * MAX_WORKER_DEATHS})
    run = tiny_run.model_copy(update={"training": training})
    for deaths in range(MAX_WORKER_DEATHS + 1):
        assert worker_deaths(ledger, run.run_id(), generation=1) == (deaths, 0)
        session(run, ledger, private_cache).step()  # saves an epoch and is never heard of again
    for fruitless in range(1, MAX_WORKER_DEATHS):
        ledger.new_attempt(run.run_id(), generation=1)
        assert worker_deaths(ledger, run.run_id(), generation=1) == (MAX_WORKER_DEATHS + 1 + fruitless, fruitless)
    finish(run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert (row["status"], row["attempts"]) == ("complete", 2 * MAX_WORKER_DEATHS + 1)


def test_a_run_that_kills_its_worker_after_every_epoch_is_given_up(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    for _ in range(15):
        ledger.new_attempt(tiny_run.run_id(), generation=1)
    ledger.save_checkpoint(tiny_run.run_id(), "0001_15", 1, b"", generation=1)
    assert worker_deaths(ledger, tiny_run.run_id(), generation=1) == (15, 0)
    finish(tiny_run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert row["status"] == "failed" and "worker process died 15 times" in row["error"]


def test_an_error_of_the_run_that_cannot_be_written_is_no_death_either(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = session(tiny_run, ledger, private_cache)
    attempt.step()
    with monkeypatch.context() as patch:
        patch.setattr(Fit, "train_epoch", lambda self: 1 / 0)
        patch.setattr(Ledger, "commit", _fails)
        with pytest.raises(LedgerError, match="cannot write"):
            attempt.step()
    assert ledger.list("live/") == []


def _fails(self: Ledger, *arguments: object, **options: object) -> None:
    raise LedgerError("cannot write")


def test_parameters_that_the_id_leaves_out_are_left_out_of_the_training(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    protocol = tiny_run.protocol.model_copy(update={"selection": "last", "refit": True, "select_by": "recall_at_1"})
    run = tiny_run.model_copy(update={"protocol": protocol})
    finish(run, ledger, private_cache)
    (row,) = ledger.read("runs").to_pylist()
    assert row["run_id"] == run.run_id()
    assert row["epochs_trained"] == 4
    assert {epoch["phase"] for epoch in ledger.read("epochs").to_pylist()} == {"select"}


def test_a_run_that_does_not_know_its_data_by_content_is_refused(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    """Its id would be that of the same run on any other data, or from random weights."""
    no_data = tiny_run.model_copy(update={"dataset": tiny_run.dataset.model_copy(update={"revision": ""})})
    with pytest.raises(ConfigError, match="dataset of this run has no revision"):
        session(no_data, ledger, private_cache)
    no_weights = tiny_run.model_copy(update={"backbone": ResNet18(weights="w.pth")})
    with pytest.raises(ConfigError, match=r"backbone\.weights of this run has no revision"):
        session(no_weights, ledger, private_cache)
    assert ledger.list("live/") == []


def test_a_gpu_run_asks_for_deterministic_algorithms_and_what_they_need(
    tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", asked.append)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    import os

    set_numerics(tiny_run)
    assert asked == []
    for deterministic in (True, False):
        training = tiny_run.training.model_copy(update={"deterministic": deterministic})
        set_numerics(tiny_run.model_copy(update={"device": "cuda", "training": training}))
    assert asked == [True, False]
    assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
