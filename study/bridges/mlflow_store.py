"""A study as an MLflow experiment: a run per run, with parameters, metrics over epochs, and tags."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.bridges.extras import require
from study.bridges.runs import StudyRuns, TrackedRun
from trainables.errors import ConfigError, DmlStudyError
from trainables.ledger.places import is_address

if TYPE_CHECKING:
    from trainables.datasets.source import Progress

_TAG = "dml_study."
_STATUS = {"complete": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
_METRICS, _PARAMS = 1000, 100
"""MLflow takes so many of them at once."""
_LONGEST_PARAM, _LONGEST_TAG = 6000, 5000
_UNSAFE = re.compile(r"[^\w.\- :/]")
_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}


@dataclass(frozen=True)
class Exported:
    """What an export did: runs written, runs that stood there as they are, runs removed that count no longer."""

    written: int
    unchanged: int
    removed: int


def export_mlflow(runs: StudyRuns, store: str, *, progress: "Progress") -> Exported:
    """Brings the experiment with the study's name up to date. A run is known by the tag `dml_study.run_id`.

    A run whose rows changed is written anew, one that the ledger does not count any more is deleted (as MLflow does
    it: it can be restored); runs of others are not touched. A killed export goes on where it was.

    Args:
        runs: of the study.
        store: an SQLite file, which is made where there is none, or a tracking URI.

    Raises:
        ConfigError: the file is no MLflow store.
        DmlStudyError: the package mlflow is not installed, or the store refuses something.
    """
    mlflow = require("mlflow", extra="mlflow", environment=_ENVIRONMENT)
    uri = store if is_address(store) else _made(Path(store))
    try:
        return _updated(mlflow.MlflowClient(tracking_uri=uri), runs, store, progress)
    except mlflow.exceptions.MlflowException as error:
        raise DmlStudyError(f"MLflow store {store}: {error}; the same command goes on where it was") from error


def _updated(client: Any, runs: StudyRuns, store: str, progress: "Progress") -> Exported:
    experiment = _experiment(client, runs.study, store)
    known = _known(client, experiment)
    written, kept = 0, set[str]()
    for number, run in enumerate(runs):
        progress(number, len(runs), "MLflow")
        tags = _tags(run, runs)
        same = [each for each, found in known.items() if found.items() >= tags.items()]
        kept.update(same[:1])
        if not same:
            _write(client, experiment, run, tags)
            written += 1
    progress(len(runs), len(runs), "MLflow")
    outdated = _outdated(known, kept, runs)
    for each in outdated:
        client.delete_run(each)
    return Exported(written, len(kept), len(outdated))


def _made(path: Path) -> str:
    """The URI of an SQLite file."""
    if path.exists() and path.stat().st_size and not _is_store(path):
        raise ConfigError(f"{path} is no MLflow store and stays as it is; choose another --to")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path.parent} cannot be made: {error.strerror}; choose another --to") from error
    return f"sqlite:///{path.resolve()}"


def _is_store(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            names = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.Error:
        return False
    return {"experiments", "runs"} <= names


def _experiment(client: Any, name: str, store: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        artifacts = None if is_address(store) else (Path(store).resolve().parent / "mlflow-artifacts").as_uri()
        return str(client.create_experiment(name, artifact_location=artifacts))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _known(client: Any, experiment: str) -> dict[str, dict[str, str]]:
    """MLflow's id -> tags of the runs that an export wrote."""
    found: dict[str, dict[str, str]] = {}
    page, token = None, ""
    while page is None or token:
        page = client.search_runs([experiment], max_results=1000, page_token=token or None)
        found |= {run.info.run_id: run.data.tags for run in page if f"{_TAG}run_id" in run.data.tags}
        token = page.token
    return found


def _outdated(known: Mapping[str, Mapping[str, str]], kept: set[str], runs: StudyRuns) -> list[str]:
    """Earlier versions of runs, and runs of these results that count no longer."""
    ours = {run.run_id for run in runs.named}
    return [
        each
        for each, tags in known.items()
        if each not in kept and (tags[f"{_TAG}run_id"] in ours or tags.get(f"{_TAG}results") == runs.results)
    ]


def _tags(run: TrackedRun, runs: StudyRuns) -> dict[str, str]:
    """`content` stands for all rows of the run; it is written last and says that the run is whole."""
    protocol = json.dumps(runs.plan["protocol"], ensure_ascii=False)
    told = {**run.facts, "method": run.name.method, "cell": run.cell, "protocol": protocol}
    whole = json.dumps([str(run.name), dict(run.row), run.rows], sort_keys=True, default=str)
    content = hashlib.sha256(whole.encode()).hexdigest()[:16]
    tags = {key: value[-_LONGEST_TAG:].strip() for key, value in told.items()}
    return {f"{_TAG}{key}": value for key, value in {**tags, "results": runs.results, "content": content}.items()}


def _write(client: Any, experiment: str, run: TrackedRun, tags: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    first = {key: value for key, value in tags.items() if key != f"{_TAG}content"}
    made = client.create_run(experiment, start_time=_millis(run.started), run_name=str(run.name), tags=first)
    run_id = made.info.run_id
    params = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in run.params.items()]
    for start in range(0, len(params), _PARAMS):
        client.log_batch(run_id, params=params[start : start + _PARAMS])
    metrics = list(_metrics(run))
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS])
    client.set_terminated(run_id, _STATUS[run.status], end_time=_millis(run.ended))
    client.set_tag(run_id, f"{_TAG}content", tags[f"{_TAG}content"])


def _metrics(run: TrackedRun) -> Iterator[Any]:
    from mlflow.entities import Metric

    for epoch in run.epochs:
        for key, value in epoch.metrics.items():
            yield Metric(_UNSAFE.sub("_", key), value, _millis(epoch.time), epoch.step)
    for key, value in run.metrics.items():
        yield Metric(_UNSAFE.sub("_", key), value, _millis(run.ended), int(run.row["selected_epoch"] or 0))


def _millis(time: datetime) -> int:
    return round(1000 * time.timestamp())
