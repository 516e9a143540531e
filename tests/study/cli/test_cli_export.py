"""`export model`, `export embeddings` and `import` as commands."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.plan import build_plan, due_runs
from study.spec import load_spec
from trainables.export import load_exported
from trainables.export.embeddings_file import read_embeddings
from trainables.ledger import Ledger
from trainables.ledger.lease import Lease
from trainables.training.session import Session, SessionOptions

Call = Callable[..., Any]


@pytest.fixture
def kept(trained: Path, tmp_path: Path, private_cache: Path) -> str:
    """A run of the study trained again, which keeps its weights; its id."""
    plan = build_plan(load_spec(tmp_path / "tiny.yaml", overrides=["keep.weights=selected"]), cache=private_cache)
    run_id = next(run_id for run_id, run in plan.runs.items() if run.config.strategy.trains)
    ledger = Ledger.open(trained)
    ledger.forget(run_id)
    options = SessionOptions(study="tiny", cache=private_cache)
    session = Session(plan.runs[run_id].config, ledger=ledger, options=options)
    while not session.done:
        session.step()
    return run_id


def test_a_model_and_its_card(dml_study: Call, kept: str, tmp_path: Path) -> None:
    outcome = dml_study("export", "model", kept[:8], "--format", "safetensors")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"run {kept} -> tiny-{kept[:8]}: README.md, model.json, model.safetensors, preprocessing.json" in outcome.out
    assert "parity of model.safetensors: 32 test images, largest difference 0.00e+00" in outcome.out
    exported = load_exported(tmp_path / f"tiny-{kept[:8]}")
    assert exported.about.run_id == kept and exported.about.protocol.startswith("Data: shapes")
    again = dml_study("export", "model", kept[:8])
    assert again.code == 2 and "exists already and stays as it is" in again.err


def test_embeddings_with_the_metrics_of_the_ledger(dml_study: Call, kept: str, tmp_path: Path) -> None:
    outcome = dml_study("export", "embeddings", kept, "--split", "val", "--to", "val.parquet")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("as in the ledger") == 6 and "the weights that the run kept" in outcome.out
    assert read_embeddings(tmp_path / "val.parquet").about["run_id"] == kept


def test_what_cannot_be_exported(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    rows = Ledger.open(trained).read("runs").to_pylist()
    run_id = next(row["run_id"] for row in rows if row["strategy"] == "plain")
    for command in (["model", "--format", "safetensors"], ["embeddings"]):
        outcome = dml_study("export", *command, run_id)
        assert outcome.code == 2 and "kept no weights: add `keep: {weights: selected}` to its spec" in outcome.err
    outcome = dml_study("export", "model", run_id, "--format", "onxx")
    assert outcome.code == 2 and "did you mean 'onnx'?" in outcome.err
    outcome = dml_study("export", "embeddings", run_id, "--split", "tset")
    assert outcome.code == 2 and "did you mean 'test'?" in outcome.err
    assert not list(tmp_path.glob("tiny-*"))


def test_imported_runs_are_done(dml_study: Call, trained: Path, tmp_path: Path, private_cache: Path) -> None:
    shutil.move(trained, tmp_path / "theirs")
    outcome = dml_study("import", "theirs")
    assert (outcome.code, outcome.err) == (0, "")
    assert "imported 8 runs, the plan -> results/tiny" in outcome.out
    ledger = Ledger.open(tmp_path / "results" / "tiny")
    plan = build_plan(load_spec(tmp_path / "tiny.yaml"), cache=private_cache)
    assert due_runs(plan, ledger.commits()) == []
    assert set(ledger.read("runs")["origin"].to_pylist()) == {str(tmp_path / "theirs")}
    assert dml_study("table", "tiny").code == 0
    again = dml_study("import", tmp_path / "theirs", "--into", "tiny.yaml")
    assert "imported 0 runs -> results/tiny; 8 were here already" in again.out


def test_where_it_goes(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    for arguments, place in (
        (("--into", "mine"), "results/mine"),
        (("--into", "sub/mine"), "sub/mine"),
        (("--results", "there"), "there"),
    ):
        assert f"imported 8 runs, the plan -> {place}" in dml_study("import", trained, *arguments).out
        assert len(Ledger.open(tmp_path / place).commits()) == 8
    (trained / "plan.json").unlink()
    outcome = dml_study("import", trained)
    assert outcome.code == 2 and "say where with --into or --results" in outcome.err


def test_a_difference_is_told_and_changes_nothing(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    assert dml_study("import", trained, "--into", "mine").code == 0
    ledger = Ledger.open(tmp_path / "results" / "mine")
    row = ledger.read("runs").to_pylist()[0]
    ledger.forget(row["run_id"])
    ledger.commit({"run_id": row["run_id"], "attempt": "0009_01", "status": "complete", "test_map_at_r": 0.5})
    outcome = dml_study("import", trained, "--into", "mine")
    assert outcome.code == 0 and f"warning: run {row['run_id']} has test_" in outcome.err
    assert ledger.commits()[row["run_id"]].attempt == "0009_01"


def test_a_folder_that_is_driven_is_left_alone(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "mine", create=True)
    holder = "import sys, time; from trainables.ledger import Ledger, Lease; "
    holder += "Lease(Ledger.open(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", holder, ledger.location], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        outcome = dml_study("import", trained, "--results", "mine")
        process.kill()
    assert outcome.code == 2 and f"is working on this folder, {ledger.location}: process {process.pid}" in outcome.err
    assert ledger.commits() == {}
    with Lease(ledger):
        pass
    assert dml_study("import", trained, "--results", "mine").code == 0


def test_pictures_of_a_run(dml_study: Call, kept: str, tmp_path: Path) -> None:
    outcome = dml_study("plot-run", kept[:8], "--kind", "gallery", "--kind", "confusion", "-o", str(tmp_path / "seen"))
    assert (outcome.code, outcome.err) == (0, "")
    names = {f"{kind}-{kept[:8]}.{suffix}" for kind in ("gallery", "confusion") for suffix in ("pdf", "png")}
    assert {file.name for file in (tmp_path / "seen").iterdir()} == names
    wrong = dml_study("plot-run", kept[:8], "--kind", "mapp")
    assert wrong.code == 2 and "did you mean 'map'" in wrong.err


def test_a_run_that_kept_nothing_gives_one_reason(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    rows = Ledger.open(trained).read("runs").to_pylist()
    run_id = next(row["run_id"] for row in rows if row["strategy"] == "plain")
    outcome = dml_study("plot-run", run_id, "-o", str(tmp_path / "seen"))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("kept no weights") == 1
    assert not (tmp_path / "seen").exists()
