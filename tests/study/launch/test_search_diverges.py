"""A setting that diverges in every seed: failed rows, and a search, its scheduler and the confirmation that go on."""

import math
from pathlib import Path
from typing import Any

import pytest
from launched import Study, ended, search_here

from trainables.ledger import Ledger

SPEC = """
study: s
extends: fast_cpu
untrained: false
methods:
  norm: {loss: norm_softmax, tune: {optimizer.lr: [0.01, 1.0e+30]}}
datasets:
  shapes: {name: glyphs, classes: 24, images_per_class: 8, image_size: 16}
compare: {dataset: [shapes]}
replicates: {seeds: 1}
stages: {tune: {sampler: tpe, trials: 6, seeds: [100, 101], window: 2, scheduler: halving}}
settings: {backbone: {name: conv4, width: 8}, embedding_dim: 16, training.epochs: 4, training.batch_size: 32}
"""


def assert_survived(search: dict[str, Any], ledger: Ledger) -> set[str]:
    """Every setting is finished, those that diverged failed, and a sound one is chosen; returns the failed runs."""
    states = {setting["params"]["optimizer.lr"]: setting["state"] for setting in search["settings"]}
    assert [setting["number"] for setting in search["settings"]] == list(range(6))
    assert states[1e30] == "failed" and states[0.01] != "failed"
    chosen = search["settings"][search["chosen"]]
    assert chosen["params"] == {"optimizer.lr": 0.01} and math.isfinite(chosen["value"])
    rows = {row["run_id"]: row for row in ledger.read("runs").to_pylist()}
    bad = {run["run_id"] for each in search["settings"] if each["state"] == "failed" for run in each["runs"]}
    assert {rows[run_id]["seed"] for run_id in bad} == {100, 101}
    assert all(rows[run_id]["status"] == "failed" for run_id in bad)
    assert all("TrainingError: the training loss became nan" in rows[run_id]["error"] for run_id in bad)
    return bad


def test_the_search_goes_on(tmp_path: Path, private_cache: Path) -> None:
    search = search_here(tmp_path, SPEC, cache=private_cache)
    assert_survived(search, Ledger.open(tmp_path / "undisturbed"))


@pytest.mark.slow
def test_on_ray_it_is_confirmed_and_tried_again_only_when_asked_for(study: Study, private_cache: Path) -> None:
    study.write(SPEC)
    output, errors = ended(study.command("run", "s.yaml"), code=0)
    assert "search: 6 of 6 settings finished, 2 of their runs failed" in output and "1 of 1 runs complete" in output
    assert "Traceback" not in errors
    ledger = Ledger.open(study.results)
    (search,) = ledger.read_plan()["searches"]
    bad = assert_survived(search, ledger)
    assert search == search_here(study.folder, SPEC, cache=private_cache)
    before = study.commits()
    ended(study.command("run", "s.yaml"), code=0)
    assert study.commits() == before
    ended(study.command("run", "s.yaml", "--retry-failed"), code=0)
    again = study.commits()
    assert {name.partition(".")[0] for name in again} == {name.partition(".")[0] for name in before}
    retrained = {name.partition(".")[0] for name in set(again) - set(before)}
    assert retrained == bad
