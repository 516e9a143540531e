"""Results folders that earlier versions wrote, kept under `fixtures/`, open with the numbers they always had."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import analysis
from study.costs import read_costs
from study.invalidation import invalidated_runs
from study.plan import build_plan, due_runs
from study.search.records import LedgerRecords
from study.spec import load_spec
from trainables.ledger import Ledger
from trainables.ledger.lease import current_generation
from trainables.ledger.schema import SCHEMA_VERSION
from trainables.training.session import Session, SessionOptions

FIXTURES = Path(__file__).with_name("fixtures")
VERSIONS = sorted(path.name for path in FIXTURES.glob("ledger-*") if path.is_dir())


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy that may be written to."""
    shutil.copytree(FIXTURES / request.param, tmp_path / request.param)
    return tmp_path / str(request.param)


def described(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("make_ledger", FIXTURES / "make_ledger.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.described(folder)


def expected(folder: Path) -> Any:
    return json.loads((FIXTURES / f"{folder.name}.json").read_text())


def test_there_is_one_of_every_version() -> None:
    assert [f"ledger-{number}" for number in range(1, SCHEMA_VERSION + 1)] == VERSIONS, (
        "a new schema version needs a folder of its own: `python tests/fixtures/make_ledger.py`; the others stay"
    )


def test_every_value_is_what_it_was_and_reading_changes_nothing(old: Path) -> None:
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    assert described(old) == expected(old)
    ledger = Ledger.open(old)
    complete = {run_id for run_id, commit in ledger.commits().items() if commit.status == "complete"}
    assert set(analysis.load(old).runs["run_id"]) == complete and len(complete) == 4
    assert {cost.run_id for cost in read_costs(ledger).ended} >= complete
    assert len(invalidated_runs(ledger)) == 1 and invalidated_runs(ledger).isdisjoint(complete)
    assert LedgerRecords(ledger).load("0123456789abcdef")[0]["params"] == {"loss.scale": 8.0}
    assert current_generation(ledger) == 1
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_compaction_keeps_every_value(old: Path) -> None:
    assert Ledger.open(old).compact(minimum_parts=1) > 0
    assert described(old) == expected(old)


def test_the_study_goes_on_where_it_was(old: Path, tmp_path: Path) -> None:
    """Run ids are the same, so that nothing is trained again; a checkpoint of then is taken up."""
    (tmp_path / "old.yaml").write_text((old / "spec.yaml").read_text())
    plan = build_plan(load_spec(tmp_path / "old.yaml"), cache=tmp_path / "cache")
    ledger = Ledger.open(old)
    before = ledger.commits()
    assert before.keys() <= plan.runs.keys()
    (half,) = {live["run_id"] for live in ledger.live()}
    assert {planned.run_id for planned in due_runs(plan, before)} == {half, *invalidated_runs(ledger)}
    options = SessionOptions(study="old", cache=tmp_path / "cache", generation=2)
    session = Session(plan.runs[half].config, ledger=ledger, options=options)
    while not session.done:
        session.step()
    assert session.status == "complete"
    assert any(line.endswith("continues after epoch 1 of attempt 0001_01") for line in session.lines)
    assert [row["epoch"] for row in session.epoch_rows] == [1, 2]
    assert before.items() <= ledger.commits().items()
