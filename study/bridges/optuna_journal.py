"""A study as an Optuna journal file, which `optuna.load_study` and optuna-dashboard open."""

import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from study.bridges.targets import replacing
from study.bridges.trials import Trial, TrialStudy, trial_studies
from study.search.translation import import_optuna, optuna_range
from study.spec.tune import Choice, Distribution
from trainables.ledger import Ledger

_OURS = "dml_study"
"""The user attribute of every study in a file of ours."""
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "unfinished": "RUNNING"}


def export_optuna(ledger: Ledger, target: Path) -> list[TrialStudy]:
    """Writes a journal file with one Optuna study for each search and each compared method and dataset.

    An export of the same study that stands there is replaced.

    Returns:
        What was written.

    Raises:
        ConfigError: at the target stands something else, or it cannot be written.
    """
    name = str(ledger.read_plan()["study"])
    studies = trial_studies(ledger)
    with replacing(target, study=name, owner=_owner) as new, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls what is used here experimental, and rounds the ends of steps
        optuna = import_optuna()
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(new)))
        for study in studies:
            _write(storage, study, {"study": name, "results": ledger.location})
    return studies


def _write(storage: Any, study: TrialStudy, ours: Mapping[str, str]) -> None:
    optuna = import_optuna()
    directions = ["minimize" if study.minimized else "maximize", *(["minimize"] if study.cost else [])]
    made = optuna.create_study(storage=storage, study_name=study.name, directions=directions)
    made.set_user_attr(_OURS, ours)
    made.set_metric_names([study.metric, *([study.cost] if study.cost else [])])
    for key, value in study.notes.items():
        made.set_user_attr(key, value)
    distributions = {key: _distribution(each) for key, each in study.space.items()}
    for number, trial in enumerate(study.trials):
        made.add_trial(_frozen(trial, number, distributions, two=study.cost is not None))


def _frozen(trial: Trial, number: int, distributions: Mapping[str, Any], *, two: bool) -> Any:
    optuna = import_optuna()
    state = optuna.trial.TrialState[_STATES[trial.state]]
    return optuna.trial.FrozenTrial(
        number=number,
        trial_id=-1,  # given by the storage
        state=state,
        value=None,
        values=_values(trial, two=two),
        datetime_start=_local(trial.started),
        datetime_complete=_local(trial.ended or trial.started) if state.is_finished() else None,
        params=dict(trial.params),
        distributions={key: distributions[key] for key in trial.params},
        user_attrs=dict(trial.notes),
        system_attrs={},
        intermediate_values=dict(trial.curve),
    )


def _values(trial: Trial, *, two: bool) -> list[float] | None:
    """Of a pruned trial Optuna's own: its last intermediate value; of two objectives none."""
    if two:
        return None if trial.value is None or trial.cost is None else [trial.value, trial.cost]
    last = trial.curve[max(trial.curve)] if trial.state == "pruned" and trial.curve else None
    value = trial.value if trial.value is not None else last
    return None if value is None else [value]


def _local(time: datetime | None) -> datetime:
    """Optuna has local times without a zone; where the ledger has none, its beginning of time."""
    return (time or datetime(1970, 1, 2, tzinfo=UTC)).astimezone().replace(tzinfo=None)


def _distribution(distribution: Distribution) -> Any:
    if isinstance(distribution, Choice):
        return import_optuna().distributions.CategoricalDistribution(tuple(distribution.values))
    return optuna_range(distribution)


def _owner(path: Path) -> str | None:
    """The study whose journal this is: one of its first lines says so."""
    try:
        with path.open("rb") as file:
            records = [json.loads(line) for line in islice(file, 4)]
        return next(str(record["user_attr"][_OURS]["study"]) for record in records if "user_attr" in record)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
