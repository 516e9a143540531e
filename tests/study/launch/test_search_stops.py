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


def killed_twice(study: Study, *, workers: int, commits: tuple[int, int]) -> None:
    """Runs a study to its end; the driver and its workers are killed when so many runs are committed."""
    share = ("--set", f"resources.cpu={cpu_cores() / workers}")
    try:
        for wanted in commits:
            process = study.start(*share)
            wait_for(lambda wanted=wanted: len(study.commits()) >= wanted, "some runs", process=process)
            process.kill()
            process.communicate()
            study.kill_all()
        ended(study.start(*share), code=0)
    finally:
        study.kill_all()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_parameters_and_seeds_with_stopping_killed_twice_on_one_worker_and_on_four(
    study: Study, tmp_path: Path, short_folder: Path, private_cache: Path
) -> None:
    """The same suggestions, the same stops and the same best setting as in a plain loop that nobody disturbs."""
    text = SPEC.format(trials=8, seeds=[100, 101, 102], window=2, epochs=8)
    undisturbed = search_here(study.folder, text, cache=private_cache)
    assert len(undisturbed["space"]) == 3 and undisturbed["sampler"] == "tpe" and undisturbed["scheduler"] == "halving"
    expected = records(study.folder / "undisturbed")
    found = []
    for workers in (1, 4):
        (tmp_path / f"on-{workers}").mkdir()
        killed = Study(tmp_path / f"on-{workers}", short_folder)
        killed.write(text)
        killed_twice(killed, workers=workers, commits=(8, 16))
        (search,) = Ledger.open(killed.results).read_plan()["searches"]
        assert [setting["params"] for setting in search["settings"]] == [each["params"] for each in expected]
        assert records(killed.results) == expected, "other settings or other cutoffs"
        assert search["chosen"] == undisturbed["chosen"] and search == undisturbed
        found.append(results_of(killed.results))
        assert len(pruned(found[-1]["runs"])) >= 2
    assert found[0] == found[1], "other metrics, other stops or another confirmed setting"


@pytest.mark.slow
def test_replicates_that_are_not_needed_are_not_trained_whoever_is_killed(
    study: Study, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruning = "scheduler: none, prune_replicates: {p: 0.2}"
    text = SPEC.format(trials=8, seeds=list(range(100, 106)), window=2, epochs=4).replace("scheduler: halving", pruning)
    expected = search_here(study.folder, text, cache=private_cache)
    study.write(text)
    killed_twice(study, workers=2, commits=(9, 22))
    (search,) = Ledger.open(study.results).read_plan()["searches"]
    assert search == expected and records(study.results) == records(study.folder / "undisturbed")
    ended_early = [setting for setting in search["settings"] if setting["state"] == "pruned"]
    trained = sum(setting["replicates"] for setting in search["settings"])
    assert ended_early and all(3 <= setting["replicates"] < 6 for setting in ended_early)
    assert len(study.commits()) == trained + 1 < 8 * 6 + 1

    monkeypatch.chdir(study.folder)
    output = CliRunner().invoke(app, ["status", "s"]).output
    assert f"{trained + 1} done, 0 running, 0 failed, 0 waiting" in output, output
    assert f"8/8 settings ({len(ended_early)} pruned)" in output, output
    output = CliRunner().invoke(app, ["plan", "s.yaml"]).output
    assert f"8/8 ({len(ended_early)} pruned)" in output, output
