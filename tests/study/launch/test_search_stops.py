"""Searches that stop poor settings early, on Ray and killed: the same settings, the same stops, the same best."""

import json
from pathlib import Path
from typing import Any

import pytest
from launched import Study, ended, results_of, search_here, wait_for
from typer.testing import CliRunner

import analysis
from analysis.tables import comparison_table
from study.cli.app import app
from study.launch.cluster import cpu_cores
from trainables.ledger import Ledger

SPEC = """
study: s
extends: fast_cpu
untrained: false
methods:
  norm:
    loss: norm_softmax
    tune:
      loss.scale: {{distribution: loguniform, min: 0.01, max: 64}}
      optimizer.lr: {{distribution: loguniform, min: 1.0e-5, max: 3.0e-2}}
      embedding_dim: [4, 8, 16]
datasets:
  shapes: {{name: glyphs, classes: 24, images_per_class: 8, image_size: 16}}
compare: {{dataset: [shapes]}}
replicates: {{seeds: 1}}
stages: {{tune: {{sampler: tpe, trials: {trials}, seeds: {seeds}, window: {window}, scheduler: halving}}}}
settings: {{backbone: {{name: conv4, width: 8}}, training.epochs: {epochs}, training.batch_size: 32}}
"""


def records(results: Path) -> list[Any]:
    """All recorded settings with their cutoffs."""
    return [json.loads(path.read_text()) for path in sorted(results.glob("search/*/*.json"))]


def pruned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["status"] == "pruned"]


@pytest.mark.slow
def test_a_search_on_ray_stops_what_a_plain_loop_stops(
    study: Study, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SPEC.format(trials=8, seeds=[100], window=2, epochs=4)
    study.write(text)
    output, _ = study.run()
    (search,) = Ledger.open(study.results).read_plan()["searches"]
    assert search == search_here(study.folder, text, cache=private_cache)
    assert records(study.results) == records(study.folder / "undisturbed")

    rows = Ledger.open(study.results).read("runs").to_pylist()
    stopped = pruned(rows)
    assert stopped and {setting["state"] for setting in search["settings"]} == {"complete", "pruned"}
    assert f"8 of 8 settings finished, {len(stopped)} of their runs stopped early" in output
    for row in stopped:
        assert (row["stage"], row["test_map_at_r"]) == ("tune", None)
        assert row["fidelity"] == row["epochs_trained"] / 4 in (0.25, 0.5)
    assert [(row["stage"], row["status"]) for row in rows if row["test_map_at_r"]] == [("confirm", "complete")]

    monkeypatch.chdir(study.folder)
    for command in (["plan", "s.yaml"], ["status", "s"]):
        outcome = CliRunner().invoke(app, command)
        assert f"{len(stopped)} pruned" in outcome.output, outcome.output
    loaded = analysis.load(study.results)
    assert set(loaded.replicates["status"]) == {"complete"}
    comparison_table(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_three_seeds_on_one_worker_and_killed_twice_on_several(
    study: Study, tmp_path: Path, short_folder: Path, workers: int
) -> None:
    text = SPEC.format(trials=8, seeds=[100, 101, 102], window=2, epochs=8)
    cpus = cpu_cores()
    study.write(text)
    study.run("--set", f"resources.cpu={cpus}")  # one run at a time
    (tmp_path / "killed").mkdir()
    killed = Study(tmp_path / "killed", short_folder)
    try:
        killed.write(text)
        share = ("--set", f"resources.cpu={cpus / workers}")
        for commits in (8, 19):
            process = killed.start(*share)
            wait_for(lambda wanted=commits: len(killed.commits()) >= wanted, "some runs", process=process)
            process.kill()
            process.communicate()
            killed.kill_all()
            assert commits <= len(killed.commits()) < 25
        ended(killed.start(*share), code=0)
    finally:
        killed.kill_all()
    assert records(killed.results) == records(study.results)
    assert Ledger.open(killed.results).read_plan()["searches"] == Ledger.open(study.results).read_plan()["searches"]
    assert results_of(killed.results) == results_of(study.results)
    assert len(pruned(results_of(study.results)["runs"])) >= 2
