"""Searches by CMA-ES and with a cost on Ray, killed in the middle: they end as if nothing had happened."""

import json
from pathlib import Path

import pytest
from launched import Study, ended, search_here, spec_text, wait_for

from study.plan import build_plan
from study.search import SearchHistory
from study.spec import load_spec
from trainables.ledger import Ledger

pytestmark = pytest.mark.slow

METHODS = """
  norm:
    loss: norm_softmax
    tune:
      loss.scale: {distribution: loguniform, min: 1, max: 64}
      embedding_dim: {distribution: int, min: 4, max: 32}
      training.epochs: [1, 2, 3]
"""


def searched_by(stage: str) -> str:
    """A study of 13 settings."""
    return (
        spec_text(METHODS) + f"untrained: false\nstages: {{tune: {{trials: 13, seeds: [100], window: 2, {stage}}}}}\n"
    )


def killed(study: Study, text: str) -> Ledger:
    """Trains a study whose driver dies after some runs."""
    study.write(text)
    process = study.start()
    wait_for(lambda: len(study.commits()) >= 6, "half a search", process=process)
    process.kill()
    process.communicate()
    study.kill_all()
    before = study.commits()
    assert 6 <= len(before) < 13
    output, errors = ended(study.start(), code=0)
    assert "search: 13 of 13 settings finished" in output and "on record as" not in output + errors
    assert before.items() <= study.commits().items(), "a committed run was trained again"
    return Ledger.open(study.results)


@pytest.mark.parametrize("stage", ["sampler: cmaes", "cost: steps, tolerance: 0.02"])
def test_a_search_killed_is_that_of_a_plain_loop(study: Study, private_cache: Path, stage: str) -> None:
    text = searched_by(stage)
    ledger = killed(study, text)
    (search,) = ledger.read_plan()["searches"]
    assert search == search_here(study.folder, text, cache=private_cache)
    assert len({json.dumps(setting["params"]) for setting in search["settings"]}) == 13
    if "cost" in stage:
        steps = {row["run_id"]: row["steps"] for row in ledger.read("runs").to_pylist()}
        for setting in search["settings"]:
            assert setting["cost"] == steps[setting["runs"][0]["run_id"]] > 0


def test_recorded_times_rebuild_a_search(study: Study, private_cache: Path) -> None:
    """No two trainings take equally long; what is recorded counts."""
    ledger = killed(study, searched_by("cost: train_seconds"))
    (search,) = ledger.read_plan()["searches"]
    times = {row["run_id"]: row["train_seconds"] for row in ledger.read("runs").to_pylist()}
    assert all(setting["cost"] == times[setting["runs"][0]["run_id"]] > 0 for setting in search["settings"])
    history = SearchHistory(ledger)
    plan = build_plan(load_spec(study.folder / "s.yaml"), cache=private_cache, history=history)
    assert plan.searches[0].differences() == []
    assert json.loads(json.dumps(plan.searches[0].record())) == search
    best = max(search["settings"], key=lambda setting: setting["value"])
    assert search["chosen"] == search["front"][-1] and search["settings"][search["chosen"]]["value"] == best["value"]
