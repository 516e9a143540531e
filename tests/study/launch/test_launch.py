"""What a launch trains and what it leaves alone: extended, shrunk, shared and repeated studies, on one Ray."""

import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from launched import ALPHA, Here, checkpoints, commits, results_of, rows_by_run
from ray import tune

import analysis
from analysis.tables import comparison_table, render
from study.launch import Summary
from study.launch.adopt import adopt_siblings
from study.launch.cluster import ResourceError
from study.plan import Plan, build_plan
from study.spec import load_spec
from trainables.ledger import Ledger


@pytest.fixture(scope="module")
def template(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study: the untrained embedding, the baseline, and two alphas."""
    here = Here(tmp_path_factory.mktemp("finished"), tmp_path_factory.getbasetemp() / "cache")
    summary = here.launch(here.plan("[0.4, 1.0]"))
    assert summary == Summary(planned=4, complete=4, trained=4)
    return here.folder


@pytest.fixture
def here(template: Path, tmp_path: Path, private_cache: Path) -> Here:
    """A copy of the finished study."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Here(tmp_path, private_cache)


def run_of(plan: Plan, method: str, alpha: float | None = None) -> str:
    """The one run behind a cell."""
    cells = [cell for cell in plan.cells if cell.method == method and cell.axes.get(ALPHA) == alpha]
    (run_id,) = {replicate.run_id for cell in cells for replicate in cell.replicates}
    return run_id


def test_a_baseline_shared_by_two_alphas_is_trained_once(here: Here) -> None:
    plan = here.plan("[0.4, 1.0]")
    shared = {cell.baseline for cell in plan.cells if cell.method == "ps"}
    assert len(shared) == 1
    assert len([cell for cell in plan.cells if cell.method == "ps"]) == 2
    logs = sorted(path.name for path in (here.results / "logs").iterdir())
    assert logs == sorted(f"{run_id}.0001_01.log" for run_id in plan.runs)
    assert rows_by_run(here.results)[run_of(plan, "base")]["attempts"] == 1


def test_adding_a_value_trains_only_the_new_run(here: Here) -> None:
    before = commits(here.results)
    plan = here.plan("[0.4, 1.0, 2.0]")
    assert here.launch(plan) == Summary(planned=5, complete=5, trained=1)
    after = commits(here.results)
    new = run_of(plan, "ps", 2.0)
    assert set(after) - set(before) == {f"{new}.0002_01.complete.parquet"}
    assert before.items() <= after.items()
    assert [path.name for path in (here.results / "logs").glob("*.0002_*")] == [f"{new}.0002_01.log"]


def test_a_value_that_left_the_spec_leaves_the_table_but_not_the_ledger(here: Here) -> None:
    before = commits(here.results)
    table = render(comparison_table(analysis.load(here.results)), "csv")
    assert here.launch(here.plan("[1.0]")) == Summary(planned=3, complete=3)
    assert commits(here.results) == before
    smaller = render(comparison_table(analysis.load(here.results)), "csv")
    assert len(smaller.splitlines()) == len(table.splitlines()) - 1
    assert here.launch(here.plan("[0.4, 1.0]")) == Summary(planned=4, complete=4)


def test_runs_of_a_sibling_are_copied_with_their_origin(here: Here) -> None:
    plan = here.plan("[1.0]", study="other")
    assert here.launch(plan) == Summary(planned=3, complete=3, adopted=3)
    other = here.folder / "results" / "other"
    assert not (other / "logs").exists()
    mine, theirs = results_of(here.results), results_of(other)
    for table, rows in theirs.items():
        assert rows == [row for row in mine[table] if row["run_id"] in plan.runs]
        assert rows
    assert {row["origin"] for row in rows_by_run(other).values()} == {str(here.results)}
    assert {row["origin"] for row in rows_by_run(here.results).values()} == {None}


def test_a_run_that_failed_here_is_taken_from_a_sibling_where_it_is_complete(here: Here) -> None:
    plan = here.plan("[1.0]", study="other")
    other = Ledger.open(here.folder / "results" / "other", create=True)
    other.commit({"run_id": run_of(plan, "base"), "attempt": "0001_01", "status": "failed"})
    assert adopt_siblings(plan, other, tell=pytest.fail) == 3
    assert {commit.status for commit in other.commits().values()} == {"complete"}


def test_a_sibling_that_cannot_be_read_is_named_and_left_alone(here: Here) -> None:
    plan, told = here.plan("[1.0]", study="other"), list[str]()
    for path in (here.results / "runs").glob("*.parquet"):
        path.write_bytes(b"garbage")
    (here.folder / "results" / "older").mkdir()
    (here.folder / "results" / "older" / "schema.json").write_text('{"schema_version": 0, "kind": "dml-study results"}')
    other = Ledger.open(here.folder / "results" / "other", create=True)
    assert adopt_siblings(plan, other, tell=told.append) == 0
    assert other.commits() == {}
    assert [str(here.folder / "results" / name) in line for name, line in zip(("older", "s"), told, strict=True)]
    assert "schema version 0" in told[0]


def test_only_cache_trains_nothing(here: Here) -> None:
    before = commits(here.results)
    summary = here.launch(here.plan("[0.4, 1.0, 2.0]"), policy="only-cache")
    assert summary == Summary(planned=5, complete=4, missing=1)
    assert commits(here.results) == before


def test_always_trains_again_what_only_chooses_and_keeps_the_old_rows_aside(here: Here) -> None:
    plan, before, rows = here.plan("[0.4, 1.0]"), commits(here.results), results_of(here.results)
    again = run_of(plan, "ps", 0.4)
    ledger = Ledger.open(here.results)
    ledger.save_checkpoint(again, "0001_01", 1, b"of other code, perhaps")
    summary = here.launch(plan, policy="always", only=(f"{ALPHA}=0.4",))
    assert summary == Summary(planned=4, complete=4, trained=1)
    after = commits(here.results)
    assert set(before) - set(after) == {f"{again}.0001_01.complete.parquet"}
    assert set(after) - set(before) == {f"{again}.0002_01.complete.parquet"}
    assert results_of(here.results) == rows
    log = (here.results / "logs" / f"{again}.0002_01.log").read_text()
    assert "select epoch 1," in log
    assert "checkpoint" not in log
    (aside,) = (here.results / "forgotten").glob("runs-*.parquet")
    assert pq.read_table(aside).column("run_id").to_pylist() == [again]


def test_a_failed_run_is_due_again_only_when_asked_for(here: Here) -> None:
    plan, rows = here.plan("[0.4, 1.0]"), results_of(here.results)
    ledger, again = Ledger.open(here.results), run_of(plan, "base")
    ledger.forget(again)
    ledger.commit({"run_id": again, "attempt": "0001_02", "status": "failed", "error": "no such luck"})
    assert here.launch(plan) == Summary(planned=4, complete=3, failed=1)
    assert here.launch(plan, retry_failed=True) == Summary(planned=4, complete=4, trained=1)
    assert results_of(here.results) == rows
    *_, aside = sorted((here.results / "forgotten").glob("*.parquet"))
    assert pq.read_table(aside).column("error").to_pylist() == ["no such luck"]


def test_a_run_that_fails_again_is_counted_again(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = here.plan("[0.4, 1.0]")
    ledger, again = Ledger.open(here.results), run_of(plan, "base")
    ledger.forget(again)
    ledger.commit({"run_id": again, "attempt": "0001_02", "status": "failed"})
    row = {"run_id": again, "attempt": "0002_01", "status": "failed"}
    monkeypatch.setattr("study.launch.driver._train", lambda due, **options: ledger.commit(row))
    assert here.launch(plan, retry_failed=True) == Summary(planned=4, complete=3, failed=1, trained=1)


def test_impossible_resources_are_refused_before_anything_starts(here: Here) -> None:
    plan = here.plan("[0.4, 1.0, 2.0, 3.0]")
    before = commits(here.results)
    demanding = build_plan(load_spec(plan.spec.path, overrides=("resources.cpu=1000",)), cache=here.cache)
    with pytest.raises(ResourceError, match=r"a trial asks for 1000 CPUs, and the largest node has \d+ CPUs; lower"):
        here.launch(demanding)
    assert commits(here.results) == before
    assert Ledger.open(here.results).live() == []
    assert here.launch(plan, policy="only-cache").missing == 2, "the lease is still held"


def test_trials_share_a_gpu_by_fractions(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    class Meets(tune.Trainable):  # type: ignore[misc]
        """Ends when four trials are there at once, and leaves a note about its GPU."""

        def step(self) -> dict[str, Any]:
            folder = Path(self.config["session"]["ledger"]) / "met"
            folder.mkdir(exist_ok=True)
            (folder / str(os.getpid())).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
            return {"done": len(list(folder.iterdir())) >= 4}

    monkeypatch.setattr("trainables.ray_trainable.RunTrainable", Meets)
    path = here.plan("[2.0, 3.0, 4.0, 5.0]").spec.path
    plan = build_plan(
        load_spec(path, overrides=("resources.gpu=0.25", "resources.cpu=0.1", "resources.fuse=off")), cache=here.cache
    )
    assert {run.config.device for run in plan.runs.values()} == {"cuda"}
    summary = here.launch(plan, only=("method=ps",))
    assert summary == Summary(planned=6, missing=6)
    assert [path.read_text() for path in (here.results / "met").iterdir()] == ["0"] * 4


def test_a_launch_ends_when_another_driver_takes_over(here: Here) -> None:
    """On another host, say, after this one was suspended for an hour."""
    plan = here.plan("[0.4, 1.0]", seeds=8)
    ledger = Ledger.open(here.results)
    rival = {"generation": 9, "host": "elsewhere", "pid": 1, "process_start_time": "", "renewed_at": "", "token": "r"}

    def take_over() -> None:
        while len(ledger.commits()) < 6:
            time.sleep(0.01)
        ledger.put("driver.json", json.dumps(rival).encode())

    thread = threading.Thread(target=take_over)
    thread.start()
    summary = here.launch(plan)
    thread.join()
    assert not summary.interrupted
    assert summary.missing > 0
    assert any("was taken over by generation 9 (process 1 on elsewhere)" in error for error in summary.errors)
    assert socket.gethostname() in summary.errors[0]
    assert json.loads(ledger.get("driver.json")) == rival
    assert checkpoints(here.results) == []
