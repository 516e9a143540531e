"""An MLflow store as its client reads it. Making one takes seconds, so one serves all tests."""

import math
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from study.bridges.extras import require
from study.bridges.mlflow_store import Exported, export_mlflow
from study.bridges.runs import StudyRuns
from trainables.ledger import Ledger

pytestmark = pytest.mark.skipif(find_spec("mlflow") is None, reason="extra mlflow is not installed")

Export = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow") / "störe.db"


@pytest.fixture
def client(store: Path) -> Any:
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    return require("mlflow", extra="mlflow", environment=environment).MlflowClient(tracking_uri=f"sqlite:///{store}")


@pytest.fixture
def runs(client: Any, ledger: Ledger, store: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Reads the runs of the study's experiment, by their ids in the ledger."""

    def read() -> dict[str, Any]:
        experiment = client.get_experiment_by_name("stüdy")
        found = client.search_runs([experiment.experiment_id])
        by_id = {run.data.tags["dml_study.run_id"]: run for run in found}
        assert len(by_id) == len(found), "a run stands there twice"
        return by_id

    yield read
    for run in read().values():
        client.delete_run(run.info.run_id)


def exported(ledger: Ledger, store: Path) -> Exported:
    return export_mlflow(StudyRuns(ledger), str(store), progress=lambda done, total, text: None)


def test_a_run_per_run(runs: Callable[[], dict[str, Any]], client: Any, store: Path, export: Export) -> None:
    code, out, _ = export("mlflow", "stüdy", "--to", store)
    assert code == 0 and out.splitlines()[0] == f"wrote 14 runs to {store}"
    found = runs()
    assert len(found) == 14
    complete, failed, pruned = (found[f"{index:016x}"] for index in (3, 6, 13))
    assert (complete.info.status, failed.info.status, pruned.info.status) == ("FINISHED", "FAILED", "KILLED")
    assert complete.info.run_name == "α/β, ratio 0.5, seed 0"
    assert complete.info.end_time - complete.info.start_time == 30_000
    assert complete.data.metrics["selected/test_map_at_r"] == pytest.approx(0.015)
    assert complete.data.params["embedding_dim"] == "11" and complete.data.params["loss.name"] == "norm_softmax"
    tags = complete.data.tags
    assert tags["dml_study.cell"] == "α/β, ratio 0.5" and '"select_by": "map_at_r"' in tags["dml_study.protocol"]
    assert failed.data.tags["dml_study.error"].endswith("TrainingError: the training loss became nan")
    assert "selected/test_map_at_r" not in failed.data.metrics and failed.data.metrics["train/loss"] == 1.5
    curve = client.get_metric_history(complete.info.run_id, "val/map_at_r")
    assert [(each.step, each.value) for each in curve] == [(1, 0.015), (2, 0.03)]
    assert curve[1].timestamp - curve[0].timestamp == 10_000


def test_again_writes_what_changed_and_nothing_twice(
    runs: Callable[[], dict[str, Any]], client: Any, ledger: Ledger, store: Path
) -> None:
    assert exported(ledger, store) == Exported(written=14, unchanged=0, removed=0)
    before = runs()
    assert exported(ledger, store) == Exported(written=0, unchanged=14, removed=0)
    ledger.forget(f"{1:016x}", f"{2:016x}")
    row = {"run_id": f"{1:016x}", "attempt": "0002_01", "status": "complete", "val_map_at_r": math.nan, "config": "{}"}
    ledger.commit(row)
    client.delete_tag(before[f"{3:016x}"].info.run_id, "dml_study.content")  # as a kill leaves it
    foreign = client.create_run(client.get_experiment_by_name("stüdy").experiment_id, run_name="mine")
    assert exported(ledger, store) == Exported(written=2, unchanged=11, removed=3)
    client.delete_run(foreign.info.run_id)
    after = runs()
    assert set(before) - set(after) == {f"{2:016x}"} and after[f"{1:016x}"].data.tags["dml_study.attempt"] == "0002_01"
    assert math.isnan(after[f"{1:016x}"].data.metrics["selected/val_map_at_r"])


def test_a_file_of_others_stays(ledger: Ledger, export: Export) -> None:
    Path("mine.db").write_text("notes of mine")
    code, _, err = export("mlflow", "stüdy", "--to", "mine.db")
    assert code == 2 and "mine.db is no MLflow store and stays as it is" in err
    assert Path("mine.db").read_text() == "notes of mine"


def test_a_store_that_mlflow_does_not_know_is_one_clear_error(ledger: Ledger, export: Export) -> None:
    code, _, err = export("mlflow", "stüdy", "--to", "bogus://store")
    assert code == 2 and err.splitlines()[-1].startswith("error: MLflow store bogus://store: ")
