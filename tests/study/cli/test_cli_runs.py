"""`status`, `show`, `logs`, `debug`: what a study and its runs are doing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainables.ledger import Ledger
from trainables.ledger.lease import Lease

Call = Callable[..., Any]


def run_of(results: Path, method: str, seed: int = 0) -> str:
    cells = Ledger.open(results).read_plan()["cells"]
    replicates = next(cell["replicates"] for cell in cells if cell["method"] == method)
    return str(next(each["run_id"] for each in replicates if each["seed"] == seed))


def test_status_of_a_finished_study(dml_study: Call, trained: Path) -> None:
    expected = "tiny in results/tiny: 8 runs\n  8 done, 0 running, 0 failed, 0 waiting\n"
    for target in ([], ["tiny"], ["tiny.yaml"], ["results/tiny"], ["-r", "results/tiny"]):
        outcome = dml_study("status", *target)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == expected + "  next: `dml-study table results/tiny`\n"


def test_status_of_a_study_that_was_stopped(dml_study: Call, trained: Path) -> None:
    (trained / "runs" / Ledger.open(trained).commits()[run_of(trained, "norm-softmax")].name).unlink()
    outcome = dml_study("status", "tiny")
    assert "7 done, 0 running, 0 failed, 1 waiting" in outcome.out
    assert "nothing is at work; `dml-study run tiny.yaml` goes on" in outcome.out


def test_status_while_a_driver_is_at_work(dml_study: Call, trained: Path) -> None:
    ledger, run_id = Ledger.open(trained), run_of(trained, "norm-softmax", seed=1)
    (trained / "runs" / ledger.commits()[run_id].name).unlink()
    left_behind = ledger.new_attempt(run_id, generation=0)
    ledger.update_live(run_id, left_behind, {"epoch": 9, "epochs": 9})
    with Lease(ledger) as lease:
        assert "7 done, 0 running, 0 failed, 1 waiting" in dml_study("status", "tiny").out
        attempt = ledger.new_attempt(run_id, generation=lease.generation)
        assert f"running {run_id[:8]} norm-softmax, seed 1: starting" in dml_study("status", "tiny").out
        ledger.update_live(run_id, attempt, {"epoch": 1, "epochs": 2, "val_map_at_r": 0.25})
        outcome = dml_study("status", "tiny")
    assert "7 done, 1 running, 0 failed, 0 waiting" in outcome.out
    assert f"running {run_id[:8]} norm-softmax, seed 1: epoch 1/2, val MAP@R 25.00 %" in outcome.out
    assert "is at work (start 1)" in outcome.out


@pytest.fixture
def failed_run(trained: Path) -> str:
    """A run of the trained study that failed instead, with its log."""
    ledger, run_id = Ledger.open(trained), run_of(trained, "norm-softmax")
    config = next(row["config"] for row in ledger.read("runs").to_pylist() if row["run_id"] == run_id)
    (trained / "runs" / ledger.commits()[run_id].name).unlink()
    error = "Traceback (most recent call last):\ntrainables.errors.TrainingError: the loss [x] became nan\n"
    ledger.put(f"logs/{run_id}.0001_01.log", error.encode())
    ledger.commit(
        {"run_id": run_id, "attempt": "0001_01", "status": "failed", "study": "tiny", "error": error, "config": config}
    )
    return run_id


def test_status_says_why_runs_failed(dml_study: Call, trained: Path, failed_run: str) -> None:
    outcome = dml_study("status", "tiny")
    assert outcome.code == 0 and "7 done, 0 running, 1 failed, 0 waiting" in outcome.out
    assert f"failed {failed_run[:8]} norm-softmax, seed 0: TrainingError: the loss [x] became nan" in outcome.out
    assert f"`dml-study logs {failed_run[:8]}` has the whole error" in outcome.out
    assert "next: `dml-study run tiny.yaml --retry-failed`" in outcome.out


def test_a_failed_run_shows_its_error(dml_study: Call, failed_run: str) -> None:
    shown = dml_study("show", failed_run)
    assert shown.code == 0 and "TrainingError: the loss [x] became nan" in shown.out and "failed" in shown.out
    assert "TrainingError: the loss [x] became nan" in dml_study("logs", failed_run).out


def test_run_reports_failures_with_1_and_repairs_nothing(dml_study: Call, trained: Path, failed_run: str) -> None:
    outcome = dml_study("run", "tiny.yaml")
    assert outcome.code == 1 and "7 of 8 runs complete, 0 trained now, 1 failed" in outcome.out
    assert "`dml-study run tiny.yaml --retry-failed` tries again" in outcome.out


def test_run_only_cache_says_what_is_left(dml_study: Call, trained: Path) -> None:
    (trained / "runs" / Ledger.open(trained).commits()[run_of(trained, "norm-softmax")].name).unlink()
    outcome = dml_study("run", "tiny.yaml", "--policy", "only-cache", "--set", "optimizer.lr=0.001")
    again = "`dml-study run tiny.yaml --policy only-cache --set optimizer.lr=0.001` goes on"
    assert outcome.code == 0 and f"left: 1; {again}" in outcome.out


def test_show_has_metrics_costs_provenance_and_a_configuration_to_copy(dml_study: Call, trained: Path) -> None:
    import yaml

    run_id = run_of(trained, "norm-softmax + PS", seed=1)
    row = next(row for row in Ledger.open(trained).read("runs").to_pylist() if row["run_id"] == run_id)
    outcome = dml_study("show", run_id[:6])
    assert (outcome.code, outcome.err) == (0, "")
    assert f"run {run_id}: norm-softmax + PS, ratio 0.5, seed 1\nin {trained}\n" in outcome.out
    text = " ".join(outcome.out.split())
    assert f"test_map_at_r {100 * row['test_map_at_r']:.2f} %" in text
    assert "epochs_trained 2" in text and "torch " in text and "status complete" in text
    settings = yaml.safe_load(outcome.out.partition("configuration\n")[2])
    assert settings["synthesis"]["ratio"] == 0.5 and settings["seed"] == 1


def test_show_of_a_run_without_rows(dml_study: Call, trained: Path) -> None:
    run_id = run_of(trained, "norm-softmax")
    (trained / "runs" / Ledger.open(trained).commits()[run_id].name).unlink()
    outcome = dml_study("show", run_id)
    assert outcome.code == 0 and "not finished yet" in outcome.out and "loss: {name: norm_softmax" in outcome.out


def test_logs(dml_study: Call, trained: Path) -> None:
    run_id = run_of(trained, "norm-softmax")
    newest = dml_study("logs", run_id)
    assert newest.code == 0 and "select epoch 2, loss" in newest.out and "done: epoch" in newest.out
    Ledger.open(trained).put(f"logs/{run_id}.0007_01.log", b"another attempt\n")
    assert dml_study("logs", run_id).out == "another attempt\n"
    assert dml_study("logs", run_id, "--all").out == newest.out + "another attempt\n"


@pytest.mark.parametrize("spec", [[], ["--spec", "tiny.yaml"]])
def test_debug_trains_the_same_bits(spec: list[str], dml_study: Call, trained: Path) -> None:
    run_id = run_of(trained, "norm-softmax + PS")
    before = Ledger.open(trained).read("runs")
    outcome = dml_study("debug", run_id, *spec)
    assert outcome.code == 0 and "select epoch 2, loss" in outcome.out
    assert f"run {run_id}: the ledger has the same metrics, bit for bit (" in outcome.out
    assert Ledger.open(trained).read("runs").equals(before)


def test_debug_tells_a_difference(dml_study: Call, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.training import fit

    monkeypatch.setattr(fit, "scale_rates", lambda optimizer, factor: None)  # a change of code that changes numbers
    run_id = run_of(trained, "norm-softmax")
    outcome = dml_study("debug", run_id)
    assert outcome.code == 1 and " values differ (compared: " in outcome.err and "test_map_at_r" in outcome.out
    assert "what differs around them: nothing that is on record: the code or the data changed" in outcome.out
    assert "Traceback" not in outcome.err


def test_debug_shows_where_a_run_fails(dml_study: Call, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.training.fit import Fit

    def fail(self: Fit) -> None:
        raise ValueError("a bug of mine")

    monkeypatch.setattr(Fit, "train_epoch", fail)
    outcome = dml_study("debug", run_of(trained, "norm-softmax"))
    assert outcome.code == 1 and outcome.err.startswith("Traceback") and "ValueError: a bug of mine" in outcome.err


def test_ctrl_c_is_130(dml_study: Call, write_spec: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    import study.plan

    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study.plan, "build_plan", interrupted)
    write_spec()
    outcome = dml_study("plan", "tiny.yaml")
    assert outcome.code == 130 and "Traceback" not in outcome.err


def test_doctor_finds_what_would_stop_a_study(dml_study: Call, write_spec: Call, trained: Path) -> None:
    sound = dml_study("doctor", "tiny.yaml")
    assert sound.code == 0 and "tiny: 4 cells, 8 runs" in sound.out and "fail" not in sound.out
    text = (trained.parents[1] / "tiny.yaml").read_text()
    write_spec(text + "resources: {cpu: 4096}\n", "large.yaml")
    large = dml_study("doctor", "large.yaml")
    assert large.code == 1 and "fail" in large.out and "a run asks for 4096 CPUs" in large.out
    wrong = dml_study("doctor", "nothing.yaml")
    assert wrong.code == 1 and "nothing.yaml: no such file" in wrong.out
    (trained / "schema.json").write_text('{"schema_version": 99, "kind": "dml-study results"}')
    old = dml_study("doctor", "tiny.yaml")
    assert old.code == 1 and "schema version 99" in old.out


def test_a_trial_that_no_node_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from study.launch.cluster import ResourceError, refuse_impossible
    from study.plan import Resources

    node = {"Alive": True, "Resources": {"CPU": 2.0, "memory": 2.0**34}}
    monkeypatch.setattr(ray, "nodes", lambda: [node])
    refuse_impossible({Resources(cpu=2)})
    with pytest.raises(ResourceError, match=r"64 CPUs.*largest node has.*2 CPUs.*lower `resources`"):
        refuse_impossible({Resources(cpu=64)})


def test_status_says_what_was_spent(dml_study: Call, trained: Path) -> None:
    from study.costs import CostBook
    from study.spec.model import Budget

    CostBook(Ledger.open(trained), budget=Budget(runs=12)).save()
    outcome = dml_study("status", "tiny")
    assert "  cost so far: 0.0" in outcome.out and " hours on the clock\n  budget: 8 of 12 runs\n" in outcome.out


@pytest.mark.parametrize("wrong", ["soon", "90"])
def test_a_time_limit_that_is_none(dml_study: Call, trained: Path, wrong: str) -> None:
    outcome = dml_study("run", "tiny.yaml", "--max-time", wrong)
    assert outcome.code == 2 and f"error: --max-time {wrong}: should be a length of time such as 90s" in outcome.err


def test_a_budget_that_is_reached_is_told_with_the_remedy(dml_study: Call, trained: Path) -> None:
    (trained / "runs" / Ledger.open(trained).commits()[run_of(trained, "norm-softmax")].name).unlink()
    outcome = dml_study("run", "tiny.yaml", "--set", "budget.runs=7")
    assert outcome.code == 3 and "left: 1\n" in outcome.out
    assert "the budget is reached: 7 of 7 runs spent; raise `budget.runs` in the spec" in outcome.err
    assert "  budget: 7 of 7 runs" in dml_study("status", "tiny").out


def test_a_run_without_time_starts_nothing(dml_study: Call, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from study.launch.gate import TimeLimit

    (trained / "runs" / Ledger.open(trained).commits()[run_of(trained, "norm-softmax")].name).unlink()
    monkeypatch.setattr(TimeLimit, "left", lambda self: 0.0)
    outcome = dml_study("run", "tiny.yaml", "--max-time", "1-12:00:00")
    assert outcome.code == 75 and "out of time" in outcome.err
    assert "left: 1; `dml-study run tiny.yaml --max-time 1-12:00:00` goes on" in outcome.out


@pytest.fixture
def timed(trained: Path, private_cache: Path) -> Path:
    """The trained study as a launch leaves it: with its costs, each run of 600 s."""
    from study.costs import CostBook
    from study.plan import build_plan
    from study.spec import load_spec

    ledger = Ledger.open(trained)
    book = CostBook(ledger)
    book.expect(build_plan(load_spec(trained.parents[1] / "tiny.yaml"), cache=private_cache).runs.values())
    book.save()
    content = json.loads(ledger.get("costs.json"))
    for cost in content["runs"]:
        cost["seconds"] = 600.0
    ledger.put("costs.json", json.dumps(content).encode())
    return trained


def test_plan_estimates_what_is_due(dml_study: Call, timed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from study.launch import cluster

    monkeypatch.setattr(cluster, "cpu_cores", lambda: 2)
    assert "cost:" not in dml_study("plan", "tiny.yaml").out, "nothing is due"
    for seed in (0, 1):
        (timed / "runs" / Ledger.open(timed).commits()[run_of(timed, "norm-softmax", seed)].name).unlink()
    half = dml_study("plan", "tiny.yaml").out
    assert "cost: 2 runs of 1 CPU: 20 min of training, about 10 min here, 2 at a time\n" in half
    longer = dml_study("plan", "tiny.yaml", "--set", "training.epochs=20", "--results", str(timed)).out
    assert "cost: 6 runs of 1 CPU: 10.0 h of training" in longer, "each with ten times the epochs"
    spec = timed.parents[1] / "tiny.yaml"
    spec.write_text(spec.read_text().replace("compare:", "  anchor: {loss: proxy_anchor}\ncompare:"))
    other = dml_study("plan", "tiny.yaml").out
    assert " (and 2 runs of unknown length)" in other
    nothing = dml_study("plan", "tiny.yaml", "--results", "new").out
    assert "cost: unknown until a run of each kind has ended" in nothing


def test_status_tells_the_time_left(dml_study: Call, timed: Path) -> None:
    ledger = Ledger.open(timed)
    for seed in (0, 1):
        (timed / "runs" / ledger.commits()[run_of(timed, "norm-softmax", seed)].name).unlink()
    assert "  left: about 20 min of training\n" in dml_study("status", "tiny").out
    with Lease(ledger) as lease:
        run_id = run_of(timed, "norm-softmax")
        attempt = ledger.new_attempt(run_id, generation=lease.generation)
        ledger.update_live(run_id, attempt, {"epoch": 1, "epochs": 2})
        assert "  left: about 15 min with 1 at a time\n" in dml_study("status", "tiny").out


def test_status_counts_the_attempts_of_failed_runs(dml_study: Call, trained: Path, failed_run: str) -> None:
    from study.costs import CostBook

    CostBook(Ledger.open(trained)).save()
    assert "(after" not in dml_study("status", "tiny").out
    content = json.loads(Ledger.open(trained).get("costs.json"))
    next(cost for cost in content["runs"] if cost["run_id"] == failed_run)["attempts"] = 3
    Ledger.open(trained).put("costs.json", json.dumps(content).encode())
    assert "the loss [x] became nan (after 3 attempts)" in dml_study("status", "tiny").out
