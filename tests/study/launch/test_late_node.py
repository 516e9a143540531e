"""A worker on a node that joined a cluster after the others were asked looks for its data itself."""

import os
from pathlib import Path
from typing import Any

import pytest

from trainables.config import RunConfig
from trainables.datasets.config import ImageFolder
from trainables.ledger import Ledger


def configuration(run: RunConfig, results: Path, **places: Any) -> dict[str, Any]:
    settings = {"study": "s", "ledger": str(results), "generation": 1, "shard": None, "checkpoint_seconds": 30.0}
    session = {**settings, "cache": None, "plugins": [], "data": None, "nodes": "many", **places}
    return {"resources": {}, "judge": None, "run": run.model_dump_json(), "cutoffs": [], "session": session}


def test_data_that_it_lacks_are_no_fault_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.ray_trainable import RunTrainable

    ledger = Ledger.open(tmp_path / "r", create=True)
    run = RunConfig(dataset=ImageFolder(path=str(tmp_path / "birds"), revision="1"))
    said = RunTrainable(config=configuration(run, tmp_path / "r")).step()
    assert said["done"] and str(tmp_path / "birds") in said["error"]
    assert ledger.commits() == {} and ledger.live() == []


def test_variables_of_the_driver_are_those_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.ray_trainable import RunTrainable

    monkeypatch.setenv("AWS_REGION", "")
    monkeypatch.delenv("AWS_REGION")
    RunTrainable.setup(object.__new__(RunTrainable), {}, environment={"AWS_REGION": "here"})
    assert os.environ["AWS_REGION"] == "here"
