"""What commands say about a search, before, while and after it runs; no run is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.plan import build_plan
from study.search import Board, SearchHistory
from study.spec import load_spec
from trainables.ledger import Ledger

Call = Callable[..., Any]

SPEC = """
study: tuned
extends: fast_cpu
untrained: false
datasets:
  shapes: {name: glyphs, classes: 24, images_per_class: 6, image_size: 16}
methods:
  norm: {loss: norm_softmax, tune: {loss.scale: {distribution: loguniform, min: 1, max: 64}}}
  anchor: {loss: proxy_anchor}
compare: {dataset: [shapes]}
replicates: {seeds: 2, folds: 2}
stages: {tune: {sampler: random, trials: 3, seeds: [100], window: 2}}
settings: {backbone: {name: conv4, width: 4}, embedding_dim: 8, training.epochs: 2, training.batch_size: 16}
"""


@pytest.fixture
def end_runs(dml_study: Call, tmp_path: Path, private_cache: Path) -> Call:
    """Writes the spec; commits so many runs of its search, each worth a tenth of its setting's number and as slow."""

    def end(count: int, spec: str = SPEC) -> Ledger:
        (tmp_path / "tuned.yaml").write_text(spec)
        ledger = Ledger.open(tmp_path / "results" / "tuned", create=True)
        history = SearchHistory(ledger)
        plan = build_plan(load_spec(tmp_path / "tuned.yaml"), cache=private_cache, history=history)
        ledger.write_plan({**plan.record(), "spec": "tuned.yaml"})
        board = Board(plan.searches)
        (search,) = plan.searches
        for _ in range(count):
            task = board.next()
            assert task is not None
            run = task.run
            number = next(each.number for each in search.candidates if run in each.runs)
            row = {"run_id": run.run_id, "status": "complete", "stage": "tune", "val_map_at_r": number / 10}
            row["train_seconds"] = 20.0 * number + 5
            ledger.commit({**row, "attempt": ledger.new_attempt(run.run_id, generation=0)})
            history.look([run.run_id])
            board.ended(run.run_id)
        if search.over:
            assert plan.rebuilt is not None
            ledger.write_plan({**plan.rebuilt(history).record(), "spec": "tuned.yaml"})
        return ledger

    return end


def test_before_a_search(dml_study: Call, end_runs: Call) -> None:
    end_runs(0)
    lines = dml_study("plan", "tuned.yaml").out.splitlines()
    assert lines[0] == "tuned: 2 methods, 1 cells, 4 replicates -> 4 runs"
    (row,) = [line.split() for line in lines if line.startswith("norm ")]
    assert row == ["norm", "dataset", "shapes", "0/3", "6"]
    assert "when they are over: 4 trainings at most of the chosen settings" in lines
    explained = dml_study("plan", "tuned.yaml", "--explain", "norm")
    assert explained.code == 2 and "'norm' is still searched and has no values yet" in explained.err


def test_in_the_middle_of_a_search(dml_study: Call, end_runs: Call) -> None:
    ledger = end_runs(3)
    assert "1/3" in dml_study("plan", "tuned.yaml").out
    status = dml_study("status", "tuned").out
    assert "search of norm, dataset shapes: 1/3 settings\n" in status
    assert "nothing is at work; `dml-study run tuned.yaml` goes on" in status
    (record,) = [key for key in ledger.list("search/") if key.endswith("/1.json")]
    open_run = sorted({run["run_id"] for run in SearchHistory(ledger).records.load(record.split("/")[1])[1]["runs"]})
    unfinished = next(run_id for run_id in open_run if run_id not in ledger.commits())
    shown = dml_study("show", unfinished[:10]).out
    assert shown.startswith(f"run {unfinished}: norm, setting 1, seed 100, fold 1")
    assert "stage: tune" in shown and "test: never" in shown
    left = dml_study("run", "tuned.yaml", "--policy", "only-cache", "--stage", "confirm")
    assert left.code == 0 and "search: 1 of 3 settings finished" in left.out
    again = "`dml-study run tuned.yaml --policy only-cache` goes on"
    assert f"left: 2 settings to search, 4 runs of chosen cells; {again}" in left.out


def test_after_a_search(dml_study: Call, end_runs: Call) -> None:
    ledger = end_runs(6)
    chosen = ledger.read_plan()["searches"][0]["settings"][2]
    scale = chosen["params"]["loss.scale"]
    lines = dml_study("plan", "tuned.yaml").out.splitlines()
    assert lines[0] == "tuned: 2 methods, 2 cells, 8 replicates -> 8 runs"
    (row,) = [line for line in lines if "3/3" in line]
    assert "20.00 %" in row and row.endswith(f"chosen: setting 2, loss.scale {scale:.6g}")
    assert f"3/3 settings; setting 2 chosen, 20.00 % with scale {scale:.6g}" in dml_study("status", "tuned").out
    explained = dml_study("plan", "tuned.yaml", "--explain", "norm").out
    (line,) = [line for line in explained.splitlines() if line.startswith("loss.scale")]
    assert "search, setting 2 of 3, val_map_at_r 0.2000 (tuned.yaml:8)" in line
    table = dml_study("table", "tuned")
    assert table.code == 0 and "Not finished yet: 8 of 8 runs" in table.out


def test_trade_offs_of_a_search_with_a_cost(dml_study: Call, end_runs: Call) -> None:
    ledger = end_runs(6, SPEC.replace("window: 2", "window: 2, cost: train_seconds, tolerance: 0.15"))
    search = ledger.read_plan()["searches"][0]
    assert (search["front"], search["chosen"]) == ([0, 1, 2], 1)
    scales = [f"{setting['params']['loss.scale']:.6g}" for setting in search["settings"]]
    out = dml_study("plan", "tuned.yaml").out
    assert f"chosen: setting 1, loss.scale {scales[1]}" in out
    table = out[out.index("trade-offs of") :].splitlines()
    assert table[0].split() == ["trade-offs", "of", "cell", "setting", "MAP@R,", "validation", "train", "time", "with"]
    assert [line.split() for line in table[1:4]] == [
        ["norm", "dataset", "shapes", str(n), f"{10 * n:.2f}", "%", f"{20 * n + 5:.1f}", "s", "loss.scale", scales[n]]
        for n in range(3)
    ]
    status = dml_study("status", "tuned").out
    assert f"3/3 settings; setting 1 chosen, 10.00 % at 25.0 s with scale {scales[1]}" in status
    lines = [line.strip() for line in status.splitlines() if "trade-off" in line]
    assert lines[2] == f"trade-off: setting 2, 20.00 %, train time 45.0 s, scale {scales[2]}" and len(lines) == 3


def test_check_rehearses_the_first_setting_and_the_bounds(dml_study: Call, end_runs: Call, tmp_path: Path) -> None:
    (tmp_path / "tuned.yaml").write_text(SPEC)
    outcome = dml_study("check", "tuned.yaml")
    passed = "4 of 4 distinct cells pass, bounds of search spaces among them; 14 runs would train"
    assert (outcome.code, outcome.out.strip()) == (0, passed)
    assert not (tmp_path / "results").exists()
