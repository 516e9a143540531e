"""A trial that a scheduler of Ray Tune judges: it reports its evaluations once, and obeys an order to stop."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainables import ray_trainable
from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.ray_trainable import RunTrainable

ORDER = "search/cell/run.stop.json"


@pytest.fixture(autouse=True)
def _no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that is due by time alone would depend on the machine."""
    monkeypatch.setattr(ray_trainable, "_REPORT_SECONDS", 1000.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


def trial(run: RunConfig, ledger: Ledger, cache: Path, *, pauses: bool = False, judged: bool = True) -> RunTrainable:
    """A worker with its first trial; Tune would call the same methods."""
    session = {"ledger": ledger.location, "study": "s", "cache": str(cache), "generation": None}
    session |= {"checkpoint_seconds": 1000, "plugins": [], "data": None, "nodes": "one"}
    judge = {"order": ORDER, "pauses": pauses} if judged else None
    worker = RunTrainable.__new__(RunTrainable)
    worker.setup({"run": run.model_dump_json(), "resources": {}, "cutoffs": [], "judge": judge, "session": session})
    return worker


def curve_of(result: dict[str, Any]) -> list[int]:
    return [epoch for epoch, _ in result["curve"]]


def test_each_evaluation_after_the_warm_up_is_a_report(
    ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    worker = trial(tiny_run, ledger, private_cache)
    results = [worker.step() for _ in range(3)]
    assert [curve_of(result) for result in results] == [[2], [3], [4]]  # epoch 1 is the warm-up
    assert [(result["done"], result["status"]) for result in results][-1] == (True, "complete")
    told = {epoch: value for result in results for epoch, value in result["curve"]}
    rows = ledger.read("epochs").to_pylist()
    assert told == {row["epoch"]: row["val_map_at_r"] for row in rows if row["epoch"] > 1}


def test_an_order_stops_the_run_where_it_is(ledger: Ledger, tiny_run: RunConfig, private_cache: Path) -> None:
    worker = trial(tiny_run, ledger, private_cache)
    assert (curve_of(worker.step()), curve_of(worker.step())) == ([2], [3])
    ledger.put(ORDER, json.dumps({"epoch": 3}).encode())
    assert {key: value for key, value in worker.step().items() if key in ("done", "status", "curve")} == {
        "done": True,
        "status": "pruned",
        "curve": [],
    }
    (row,) = ledger.read("runs").to_pylist()
    assert (row["status"], row["epochs_trained"], row["fidelity"], row["error"]) == ("pruned", 3, 0.75, None)
    (log,) = [ledger.get(key).decode() for key in ledger.list("logs/")]
    assert "stopped after epoch 3" in log and "Ray Tune's scheduler decided so" in log
    # A worker that died before Tune heard of the end has nothing to do.
    assert trial(tiny_run, ledger, private_cache).step()["status"] == "pruned"


@pytest.mark.parametrize("pauses", [False, True])
def test_a_trial_that_ends_without_an_order_is_unfinished(
    pauses: bool, ledger: Ledger, tiny_run: RunConfig, private_cache: Path
) -> None:
    """Ctrl-C, or a scheduler that pauses the run: it goes on from its checkpoint, and tells its epochs again."""
    worker = trial(tiny_run, ledger, private_cache, pauses=pauses)
    worker.step()
    worker.step()
    assert bool(ledger.list("checkpoints/")) == pauses  # another worker may take over before this one lets go
    worker.cleanup()
    assert ledger.commits() == {} and ledger.list("checkpoints/")
    again = trial(tiny_run, ledger, private_cache, pauses=pauses)
    last = again.step()
    assert curve_of(last) == [2, 3, 4] and last["status"] == "complete"


def test_whom_nobody_judges_reads_no_orders(ledger: Ledger, tiny_run: RunConfig, private_cache: Path) -> None:
    ledger.put(ORDER, json.dumps({"epoch": 2}).encode())
    worker = trial(tiny_run, ledger, private_cache, judged=False)
    result = worker.step()
    assert result["done"] and result["status"] == "complete" and result["curve"] == []
