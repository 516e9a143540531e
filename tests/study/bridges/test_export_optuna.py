"""Journals as Optuna and its dashboard read them."""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from trainables.ledger import Ledger

Export = Callable[..., tuple[int, str, str]]

FILE = Path("results/stüdy/exports/optuna.journal")
TUNED, BASE, COMPARED = (f"stüdy/{name}/dataset birds" for name in ("tuned", "base", "α/β"))


def opened(file: Path = FILE) -> dict[str, optuna.Study]:
    storage = JournalStorage(JournalFileBackend(str(file)))
    return {name: optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)}


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


@pytest.fixture
def studies(ledger: Ledger, export: Export) -> dict[str, optuna.Study]:
    code, out, err = export("optuna", "stüdy")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"wrote 3 Optuna studies with 8 trials to {FILE}"
    return opened()


def test_a_search_is_a_study_whose_trials_are_its_settings(studies: dict[str, optuna.Study]) -> None:
    study = studies[TUNED]
    assert list(studies) == [TUNED, BASE, COMPARED]
    assert study.direction.name == "MAXIMIZE" and study.metric_names == ["val_map_at_r"]
    assert states(study) == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    first, pruned, failed, running = study.trials
    assert first.value == pytest.approx(0.105) and study.best_trial.number == 0
    assert first.params == {"loss.scale": 4.0, "embedding_dim": 8, "backbone": '{"name": "conv4"}'}
    assert first.distributions == {
        "loss.scale": optuna.distributions.FloatDistribution(4.0, 64.0, log=True),
        "embedding_dim": optuna.distributions.IntDistribution(8, 32, step=8),
        "backbone": optuna.distributions.CategoricalDistribution(('{"name": "conv4"}', "resnet18")),
    }
    assert first.intermediate_values == {1: pytest.approx(0.0525), 2: pytest.approx(0.105)}
    assert pruned.intermediate_values == {1: pytest.approx((0.06 + 0.1) / 2)}
    assert pruned.value == pytest.approx(0.08), "as Optuna has it: the last intermediate value"
    assert failed.value is None and failed.user_attrs["error"] == "cannot stand together"
    assert running.value is None and running.datetime_complete is None


def test_times_are_those_of_the_runs(studies: dict[str, optuna.Study]) -> None:
    first = studies[TUNED].trials[0]
    zone = datetime.fromisoformat("2026-03-01T12:10:00+00:00").astimezone().replace(tzinfo=None)
    assert first.datetime_start == zone
    assert first.duration is not None and first.duration.total_seconds() == 90


def test_the_chosen_setting_tells_what_it_came_to(studies: dict[str, optuna.Study]) -> None:
    notes = studies[TUNED].trials[0].user_attrs
    assert studies[TUNED].user_attrs["chosen"] == 0 and notes["chosen"] is True
    assert notes["confirm test_map_at_r"] == pytest.approx((0.20 + 0.21) / 4) and notes["confirm n"] == 2
    assert notes["confirm test_map_at_r std"] == pytest.approx(0.005 / 2**0.5)
    assert notes["confirm run_ids"] == ["0000000000000014", "0000000000000015"]
    told = {"run_id": "000000000000000a", "seed": 100, "fold": 0, "status": "complete", "value": 0.1}
    assert notes["runs"][0] == told
    assert "chosen" not in studies[TUNED].trials[1].user_attrs


def test_compared_settings_are_categorical_parameters(studies: dict[str, optuna.Study]) -> None:
    study = studies[COMPARED]
    assert states(study) == ["COMPLETE", "FAIL", "RUNNING"]
    first = study.trials[0]
    assert first.params == {"synthesis.ratio": 0.5} and first.value == pytest.approx(0.035)
    assert first.distributions["synthesis.ratio"] == optuna.distributions.CategoricalDistribution((0.5, 1.0, 2.0))
    assert first.user_attrs["test_map_at_r"] == pytest.approx(0.0175)
    assert study.trials[1].user_attrs["n"] == 1, "what is left of a setting of which a run failed"
    assert states(studies[BASE]) == ["COMPLETE"] and studies[BASE].best_params == {}


def test_what_is_taken_out_is_due_again(ledger: Ledger, export: Export) -> None:
    ledger.forget("0000000000000003")
    export("optuna", "stüdy")
    assert states(opened()[COMPARED]) == ["RUNNING", "FAIL", "RUNNING"]


def test_a_search_that_is_not_over(ledger: Ledger, export: Export) -> None:
    """The plan has no cells yet, and knows less than what is recorded."""
    record = ledger.read_plan()
    record["searches"][0].update(settings=[], chosen=None)
    ledger.write_plan({**record, "cells": []})
    assert export("optuna", "stüdy")[0] == 0
    assert states(opened()[TUNED]) == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"] and list(opened()) == [TUNED]


def test_the_plan_knows_what_a_search_stopped_that_another_one_trained(ledger: Ledger, export: Export) -> None:
    record = ledger.read_plan()
    record["searches"][0]["settings"][0]["state"] = "pruned"
    ledger.write_plan(record)
    export("optuna", "stüdy")
    trial = opened()[TUNED].trials[0]
    assert trial.state.name == "PRUNED" and set(trial.intermediate_values) == {1, 2}


def test_distances_are_minimized(ledger: Ledger, export: Export) -> None:
    record = ledger.read_plan()
    record["searches"][0]["select_by"] = "label_distance_at_10"
    ledger.write_plan(record)
    export("optuna", "stüdy")
    assert opened()[TUNED].direction.name == "MINIMIZE"
    assert states(opened()[TUNED])[0] == "FAIL", "complete, and did not measure it"


def test_another_export_replaces_the_one_before(studies: dict[str, optuna.Study], export: Export) -> None:
    before = FILE.read_bytes()
    studies[BASE].add_trial(optuna.trial.create_trial(value=1.0))
    assert FILE.read_bytes() != before
    assert export("optuna", "stüdy")[0] == 0
    assert {name: len(study.trials) for name, study in opened().items()} == {TUNED: 4, BASE: 1, COMPARED: 3}
    assert os.listdir(FILE.parent) == [FILE.name]  # noqa: PTH208 - nothing half-written, nothing hidden


@pytest.mark.parametrize("content", ["notes of mine", '{"op_code": 0, "study_name": "mine"}\n', "[1]\n", "\x00\xff"])
def test_a_file_of_others_stays(content: str, ledger: Ledger, export: Export, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text(content, encoding="latin-1")
    code, _, err = export("optuna", "stüdy", "--to", "mine")
    assert code == 2 and "mine is not an export of dml-study and stays as it is; choose another --to" in err
    assert (tmp_path / "mine").read_text(encoding="latin-1") == content


def test_the_export_of_another_study_stays(studies: dict[str, optuna.Study], ledger: Ledger, export: Export) -> None:
    ledger.write_plan({**ledger.read_plan(), "study": "other"})
    code, _, err = export("optuna", "stüdy")
    assert code == 2 and "is the export of study 'stüdy'" in err and TUNED in opened()


def test_the_dashboard_opens_it(studies: dict[str, optuna.Study]) -> None:
    wsgi = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed").wsgi
    answered: list[str] = []
    request: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/studies", "wsgi.input": None}
    app = wsgi(JournalStorage(JournalFileBackend(str(FILE))))
    body = b"".join(app(request, lambda status, headers, *rest: answered.append(status)))
    assert answered == ["200 OK"]
    assert [each["study_name"] for each in json.loads(body)["study_summaries"]] == [TUNED, BASE, COMPARED]


def test_a_setting_that_skipped_replicates_is_pruned(ledger: Ledger, export: Export) -> None:
    ledger.put(f"search/{'f' * 16}/3.ended.json", b'{"replicates": 1}')
    assert export("optuna", "stüdy")[0] == 0
    trial = opened()[TUNED].trials[3]
    assert trial.state.name == "PRUNED" and trial.value == pytest.approx(0.14), "the mean of what it trained"
    assert trial.user_attrs["skipped replicates"] == 1 and len(trial.user_attrs["runs"]) == 1


@pytest.mark.parametrize(("cost", "expected"), [("train_seconds", 16.0), ("steps", 14.0), ("embedding_dim", 18.5)])
def test_a_search_with_a_cost_has_two_objectives(ledger: Ledger, export: Export, cost: str, expected: float) -> None:
    for index in (10, 11):
        row = ledger.read("runs", run_ids=[f"{index:016x}"]).to_pylist()[0]
        ledger.forget(row["run_id"])
        ledger.commit({**row, "train_seconds": 16.0, "steps": 14, "embedding_dim": 8 + index})
    record = ledger.read_plan()
    record["searches"][0] |= {"scheduler": "none", "cost": cost, "tolerance": 0.01, "front": [0]}
    ledger.write_plan(record)
    assert export("optuna", "stüdy")[0] == 0
    study = opened()[TUNED]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["val_map_at_r", cost] and study.user_attrs["front"] == [0]
    assert [trial.number for trial in study.best_trials] == [0]
    assert study.trials[0].values == [pytest.approx(0.105), pytest.approx(expected)]
    assert states(study) == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]


def test_a_cost_that_is_not_known_is_the_largest(ledger: Ledger, export: Export) -> None:
    record = ledger.read_plan()
    record["searches"][0] |= {"cost": "train_seconds"}
    ledger.write_plan(record)
    assert export("optuna", "stüdy")[0] == 0
    assert opened()[TUNED].trials[0].values == [pytest.approx(0.105), float("inf")]


def test_a_spec_with_results_elsewhere(ledger: Ledger, export: Export, tmp_path: Path) -> None:
    ledger.write_plan({**ledger.read_plan(), "study": "demo"})
    code, out, err = export("optuna", "demo", "--results", ledger.location)
    assert (code, err) == (0, "") and out.startswith(f"wrote 3 Optuna studies with 8 trials to {FILE}")
