"""Both stages on Ray, killed in the middle: the same settings, the same choice, and test classes in one stage alone."""

import json
from pathlib import Path

import pytest
from launched import Study, ended, search_here, wait_for
from typer.testing import CliRunner

import analysis
from analysis.tables import comparison_table
from study.cli.app import app
from study.launch import driver, tuning
from study.plan import Plan
from trainables.errors import DmlStudyError
from trainables.ledger import Ledger

SPEC = """
study: s
extends: fast_cpu
untrained: false
methods:
  norm: {loss: norm_softmax, tune: {loss.scale: {distribution: loguniform, min: 1, max: 64}}}
datasets:
  shapes: {name: glyphs, classes: 24, images_per_class: 8, image_size: 16}
compare: {dataset: [shapes]}
replicates: {seeds: 1, folds: 2}
stages: {tune: {sampler: tpe, trials: 3, seeds: [100], window: 1}, confirm: {refit: true}}
settings: {backbone: {name: conv4, width: 8}, embedding_dim: 16, training.epochs: 2, training.batch_size: 32}
"""
TUNE_RUNS = 3 * 2


def command(*arguments: str) -> str:
    """What a command prints, in this process."""
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome
    return outcome.output


def test_a_search_killed_in_the_middle_goes_on_and_is_confirmed(
    study: Study, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write(SPEC)
    process = study.command("run", "s.yaml", "--stage", "tune")
    wait_for(lambda: len(study.commits()) >= 3, "half a search", process=process)
    process.kill()
    process.communicate()
    study.kill_all()
    before = study.commits()
    assert 3 <= len(before) <= TUNE_RUNS

    monkeypatch.chdir(study.folder)
    output = command("status", "s")
    assert "/3 settings" in output and "goes on" in output
    with pytest.raises(DmlStudyError, match="hyperparameters are still searched"):
        comparison_table(analysis.load(study.results))
    one = next(iter(before)).partition(".")[0]
    output = command("show", one)
    assert f"run {one}: norm, setting " in output and "seed 100, fold " in output

    output, _ = ended(study.command("run", "s.yaml"), code=0)
    assert "search: 3 of 3 settings finished" in output and "2 of 2 runs complete" in output
    assert before.items() <= study.commits().items(), "a committed run was trained again"
    assert len(study.commits()) == TUNE_RUNS + 2

    ledger = Ledger.open(study.results)
    (search,) = ledger.read_plan()["searches"]
    assert search == search_here(study.folder, SPEC, cache=private_cache)
    recorded = [json.loads(ledger.get(f"search/{search['cell_id']}/{number}.json")) for number in range(3)]
    assert [record["params"] for record in recorded] == [setting["params"] for setting in search["settings"]]

    rows = {row["run_id"]: row for row in ledger.read("runs").to_pylist()}
    tuned = {run["run_id"] for setting in search["settings"] for run in setting["runs"]}
    for row in (rows[run_id] for run_id in tuned):
        assert (row["stage"], row["test_map_at_r"]) == ("tune", None) and row["val_map_at_r"] is not None
    confirmed = [row for run_id, row in rows.items() if run_id not in tuned]
    chosen = search["settings"][search["chosen"]]
    assert [(row["stage"], row["seed"]) for row in confirmed] == [("confirm", 0)] * 2
    assert all(row["test_map_at_r"] is not None for row in confirmed)
    assert all(json.loads(row["config"])["loss"]["scale"] == chosen["params"]["loss.scale"] for row in confirmed)
    assert all(json.loads(row["config"])["protocol"]["refit"] for row in confirmed)
    replicates = analysis.load(study.results).replicates
    assert set(replicates["run_id"]) == {row["run_id"] for row in confirmed}

    output = command("plan", "s.yaml")
    assert "3/3" in output and f"chosen: setting {search['chosen']}" in output and "2 complete" in output

    built: list[Plan] = []
    monkeypatch.setattr(driver, "opened", lambda plan, ledger: built.append(plan) or tuning.opened(plan, ledger))
    assert "2 of 2 runs complete" in command("run", "s.yaml")
    assert len(built) == 1, "nothing was searched: the plan stands as it was read"
