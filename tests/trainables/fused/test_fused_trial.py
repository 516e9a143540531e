"""A trial of Ray Tune with several runs, as the worker that carries it sees it."""

from pathlib import Path
from typing import Any

import pytest
from fused_runs import run_of

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.ray_trainable import RunTrainable
from trainables.testing.runs import changed


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


@pytest.fixture
def runs(private_cache: Path) -> list[RunConfig]:
    run = run_of(private_cache, training={"epochs": 2, "steps_per_epoch": 2})
    return [run, changed(run, seed=1)]


def result_of(runs: list[RunConfig], ledger: Ledger, cache: Path) -> dict[str, Any]:
    """The last one of a worker."""
    session = {"ledger": ledger.location, "study": "s", "cache": str(cache), "generation": 1}
    session |= {"checkpoint_seconds": 1000, "plugins": [], "data": None, "nodes": "one"}
    members = [
        {"slot": slot, "run_id": run.run_id(), "run": run.model_dump_json(), "cutoffs": []}
        for slot, run in enumerate(runs)
    ]
    worker = RunTrainable.__new__(RunTrainable)
    worker.setup({"members": members, "size": 2, "resources": {}, "judge": None, "session": session})
    result = worker.step()
    while not result["done"]:
        result = worker.step()
    return result


def companions(ledger: Ledger) -> list[float | None]:
    return [dict(row["extra"]).get("fused") for row in ledger.read("runs").to_pylist()]


def test_it_says_how_each_run_ended(runs: list[RunConfig], ledger: Ledger, private_cache: Path) -> None:
    result = result_of(runs, ledger, private_cache)
    assert result["statuses"] == {run.run_id(): "complete" for run in runs}
    assert (result["status"], result["run_id"], result["curve"]) == ("ended", runs[0].run_id(), [])
    assert companions(ledger) == [2, 2]
    assert result_of(runs, ledger, private_cache)["statuses"] == result["statuses"], "it was told once more"


def test_runs_whose_worker_keeps_dying_are_trained_one_by_one(
    runs: list[RunConfig], ledger: Ledger, private_cache: Path
) -> None:
    """After one more death all of them would have failed, though one alone may be to blame."""
    for _ in range(2):
        for run in runs:
            ledger.new_attempt(run.run_id(), generation=1)
    result = result_of(runs, ledger, private_cache)
    assert result["statuses"] == {run.run_id(): "complete" for run in runs}
    assert companions(ledger) == [None, None]
