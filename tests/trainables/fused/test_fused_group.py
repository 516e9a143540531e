"""Groups of sessions: rows of each run, ends that hurt no other, and groups that were killed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from fused_runs import CONV4, HEAD, run_of

from trainables.config import RunConfig
from trainables.errors import LedgerError
from trainables.fused import group as group_module
from trainables.fused.group import GroupSession, Member
from trainables.ledger import Ledger
from trainables.testing.runs import changed
from trainables.training.cutoffs import unreachable
from trainables.training.session import Session, SessionOptions

TIMES = {
    *("attempt", "attempts", "started_at", "ended_at", "wall_seconds", "train_seconds", "eval_seconds"),
    *("images_per_second", "git_commit"),
}
Rows = dict[str, dict[str, list[dict[str, Any]]]]


@pytest.fixture
def runs(private_cache: Path) -> list[RunConfig]:
    run = run_of(
        private_cache,
        synthesis="proxy_synthesis",
        optimizer={"lr": 0.003},
        protocol={"refit": True, "select_by": "map_at_r"},
        training={"steps_per_epoch": 2},
    )
    return [run, changed(run, seed=1, loss={"scale": 9}), changed(run, seed=2, optimizer={"lr": 0.03})]


def group_of(
    runs: Mapping[int, RunConfig], ledger: Ledger, cache: Path, *, size: int = 3, **options: Any
) -> GroupSession:
    settings = SessionOptions(study="s", cache=cache, checkpoint_seconds=0)
    return GroupSession(
        {slot: Member(run, ledger=ledger, options=settings, **options) for slot, run in runs.items()}, size=size
    )


def finish(group: GroupSession) -> None:
    while not group.done:
        group.step()


def rows(ledger: Ledger) -> Rows:
    """By run and table, without what names the attempt or measures time."""
    found: Rows = {}
    for table in ("runs", "epochs", "classes"):
        for row in ledger.read(table).to_pylist():
            kept = {key: value for key, value in row.items() if key not in TIMES}
            found.setdefault(row["run_id"], {}).setdefault(table, []).append(kept)
    return found


def trained(runs: list[RunConfig], folder: Path, cache: Path) -> Rows:
    ledger = Ledger.open(folder, create=True)
    finish(group_of(dict(enumerate(runs)), ledger, cache))
    return rows(ledger)


def test_every_run_has_the_rows_that_it_has_alone(runs: list[RunConfig], tmp_path: Path, private_cache: Path) -> None:
    together = trained(runs, tmp_path / "fused", private_cache)
    ledger = Ledger.open(tmp_path / "alone", create=True)
    for run in runs:
        session = Session(run, ledger=ledger, options=SessionOptions(study="s", cache=private_cache))
        while not session.done:
            session.step()
    alone = rows(ledger)
    assert together.keys() == alone.keys() == {run.run_id() for run in runs}
    for run_id, tables in alone.items():
        (fused,), (single,) = together[run_id]["runs"], tables["runs"]
        assert dict(fused["extra"])["fused"] == 3
        assert "fused" not in dict(single["extra"])
        assert fused["config"] == single["config"]
        assert fused["status"] == single["status"] == "complete"
        for first, other in zip(together[run_id]["epochs"][:2], tables["epochs"][:2], strict=True):
            assert (first["phase"], first["steps"], first["lr"]) == (other["phase"], other["steps"], other["lr"])
            assert first["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
            assert first["val_map_at_r"] == pytest.approx(other["val_map_at_r"], abs=0.02)
        assert {row["phase"] for row in together[run_id]["epochs"]} == {"select", "refit"}
    assert Ledger.open(tmp_path / "fused").list("checkpoints/") == []


@pytest.mark.parametrize("backbone", [HEAD, CONV4], ids=["head", "conv4"])
def test_a_group_that_was_stopped_goes_on_to_the_same_bits(
    runs: list[RunConfig], tmp_path: Path, private_cache: Path, backbone: dict[str, Any]
) -> None:
    """Its members were saved at different epochs: one lost its newest checkpoint."""
    runs = [changed(run, backbone=backbone) for run in runs]
    whole = trained(runs, tmp_path / "whole", private_cache)
    ledger = Ledger.open(tmp_path / "stopped", create=True)
    group = group_of(dict(enumerate(runs)), ledger, private_cache)
    for _ in range(4):
        group.step()
    newest = max(ledger.list(f"checkpoints/{runs[1].run_id()}/"))
    ledger.delete(newest)
    again = group_of(dict(enumerate(runs)), ledger, private_cache)
    again.step()
    epochs = [member.epochs_done for member in again._members.values()]
    assert epochs == [3, 2, 3]
    finish(again)
    assert rows(ledger) == whole


def test_bits_do_not_depend_on_companions_but_on_the_number_of_slots(
    runs: list[RunConfig], tmp_path: Path, private_cache: Path
) -> None:
    whole = trained(runs, tmp_path / "whole", private_cache)
    ledger = Ledger.open(tmp_path / "less", create=True)
    finish(group_of({1: runs[1]}, ledger, private_cache))
    run_id = runs[1].run_id()
    assert rows(ledger) == {run_id: whole[run_id]}


def test_a_run_that_diverges_fails_alone(runs: list[RunConfig], tmp_path: Path, private_cache: Path) -> None:
    whole = trained(runs, tmp_path / "whole", private_cache)
    ledger = Ledger.open(tmp_path / "diverged", create=True)
    group = group_of(dict(enumerate(runs)), ledger, private_cache)
    group.step()
    group.step()
    group._members[0]._strategy.fit.loss.proxies.data.fill_(torch.nan)
    finish(group)
    assert list(group.statuses.values()) == ["failed", "complete", "complete"]
    found = rows(ledger)
    assert "the training loss became nan in epoch 2" in found[runs[0].run_id()]["runs"][0]["error"]
    for run in runs[1:]:
        assert found[run.run_id()] == whole[run.run_id()]


def test_a_run_that_is_stopped_early_leaves_the_others_as_they_are(
    runs: list[RunConfig], tmp_path: Path, private_cache: Path
) -> None:
    whole = trained(runs, tmp_path / "whole", private_cache)
    ledger = Ledger.open(tmp_path / "pruned", create=True)
    group = group_of(dict(enumerate(runs)), ledger, private_cache)
    group._members[2].cutoffs = unreachable(2, metric="map_at_r")
    finish(group)
    assert list(group.statuses.values()) == ["complete", "complete", "pruned"]
    found = rows(ledger)
    assert len(found[runs[2].run_id()]["epochs"]) == 2
    for run in runs[:2]:
        assert found[run.run_id()] == whole[run.run_id()]


def test_what_cannot_be_trained_together_is_trained_one_by_one(
    runs: list[RunConfig], tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group fails in its third epoch, and no run of it does."""
    train, calls = group_module.train_together, []

    def too_large(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        train(*arguments)

    monkeypatch.setattr(group_module, "train_together", too_large)
    ledger = Ledger.open(tmp_path, create=True)
    group = group_of(dict(enumerate(runs)), ledger, private_cache)
    finish(group)
    assert set(group.statuses.values()) == {"complete"}
    assert len(calls) == 3
    for run in runs:
        logs = sorted(key for key in ledger.list("logs/") if run.run_id() in key)
        assert "CUDA out of memory" in ledger.get(logs[0]).decode()
        assert "continues after epoch 2 of attempt" in ledger.get(logs[1]).decode()


def test_an_error_of_the_storage_blames_no_run(
    runs: list[RunConfig], tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open(tmp_path, create=True)
    group = group_of(dict(enumerate(runs)), ledger, private_cache)
    group.step()
    save: Callable[..., None] = ledger.save_checkpoint

    def full(run_id: str, *arguments: Any, **options: Any) -> None:
        if run_id == runs[1].run_id():
            raise LedgerError("no space left")
        save(run_id, *arguments, **options)

    monkeypatch.setattr(ledger, "save_checkpoint", full)
    with pytest.raises(LedgerError, match="no space left"):
        group.step()
    assert ledger.commits() == {}
    assert ledger.live() == [], "claims are withdrawn"
