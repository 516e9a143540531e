"""`reproduce`: the same bits, or what differs and by how much."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.comparison import Tables, compare
from trainables.ledger import Ledger

Call = Callable[..., Any]


@pytest.fixture
def recorded(trained: Path) -> Tables:
    """Of a run with synthesis."""
    ledger = Ledger.open(trained)
    run_id = next(row["run_id"] for row in ledger.read("runs").to_pylist() if row["synthesis"] == "proxy_synthesis")
    return Tables.of(ledger, run_id)


def changed(tables: Tables, table: str, index: int, **values: Any) -> Tables:
    rows = [dict(row) for row in getattr(tables, table)]
    rows[index].update(values)
    parts = {name: getattr(tables, name) for name in ("runs", "epochs", "classes")}
    return Tables(**{**parts, table: rows})


def test_the_same_bits(dml_study: Call, trained: Path, recorded: Tables) -> None:
    run_id = recorded.runs[0]["run_id"]
    before = sorted(str(path) for path in trained.rglob("*"))
    outcome = dml_study("reproduce", run_id[:8])
    assert (outcome.code, outcome.err) == (0, "")
    assert f"run {run_id}: the ledger has the same metrics, bit for bit (" in outcome.out
    assert " of epochs, " in outcome.out and " of classes)" in outcome.out
    assert sorted(str(path) for path in trained.rglob("*")) == before


def test_a_difference_is_told_with_its_size_and_ends_with_1(
    dml_study: Call, trained: Path, monkeypatch: pytest.MonkeyPatch, recorded: Tables
) -> None:
    from trainables import provenance
    from trainables.training import fit

    monkeypatch.setattr(fit, "scale_rates", lambda optimizer, factor: None)
    monkeypatch.setattr(provenance, "package_versions", lambda: '{"torch": "9.9"}')
    outcome = dml_study("reproduce", recorded.runs[0]["run_id"])
    assert outcome.code == 1 and " values differ (compared: " in outcome.err
    lines = outcome.out.splitlines()
    assert any(line.split()[:2] == ["runs", "test_map_at_r"] for line in lines)
    assert "-> 9.9" in outcome.out.rpartition("what differs around them: ")[2]


def test_a_failed_run_has_nothing_to_compare_with(dml_study: Call, trained: Path, recorded: Tables) -> None:
    ledger, row = Ledger.open(trained), recorded.runs[0]
    ledger.forget(row["run_id"])
    ledger.commit({"run_id": row["run_id"], "attempt": "0001_01", "status": "failed", "config": row["config"]})
    outcome = dml_study("reproduce", row["run_id"])
    assert outcome.code == 2 and "is not complete" in outcome.err and "`dml-study debug " in outcome.err


def test_every_table_is_compared(recorded: Tables) -> None:
    same = compare(recorded, recorded)
    assert same.differences == [] and same.circumstances == []
    assert same.compared["runs"] > 8 and same.compared["epochs"] >= 2 * 5
    assert same.compared["classes"] == 7 * len(recorded.classes), "images, three metrics, recall at 2, 4 and 8"

    run = compare(recorded, changed(recorded, "runs", 0, test_map_at_r=recorded.runs[0]["test_map_at_r"] + 0.5))
    (difference,) = run.differences
    assert (difference.table, difference.row, difference.name) == ("runs", "", "test_map_at_r")
    assert difference.size == pytest.approx(0.5)
    epoch = compare(recorded, changed(recorded, "epochs", 1, train_loss=math.nan))
    assert [(each.row, each.name) for each in epoch.differences] == [("select epoch 2", "train_loss")]
    more = [*recorded.classes[3]["extra"], ("ndcg_at_10", 0.5)]
    extra = compare(recorded, changed(recorded, "classes", 3, extra=more))
    assert [(each.row, each.name, each.recorded) for each in extra.differences] == [("class 3", "ndcg_at_10", None)]


def test_rows_that_one_side_lacks_differ(recorded: Tables) -> None:
    shorter = Tables(recorded.runs, recorded.epochs[:1], recorded.classes)
    found = compare(recorded, shorter)
    assert {each.row for each in found.differences} == {"select epoch 2"}
    assert all(each.repeated is None and math.isnan(each.size) for each in found.differences)


def test_times_and_places_are_no_metrics(recorded: Tables) -> None:
    other = changed(recorded, "runs", 0, wall_seconds=1e9, attempts=7, images_per_second=1.0, host="elsewhere")
    other = changed(other, "epochs", 0, train_seconds=1e9, images_per_second=1.0)
    found = compare(recorded, other)
    assert found.differences == []
    assert [text.partition(" ")[0] for text in found.circumstances] == ["host"]


def test_not_a_number_is_itself(recorded: Tables) -> None:
    nan = changed(recorded, "runs", 0, test_map_at_r=math.nan)
    assert compare(nan, changed(nan, "runs", 0, test_map_at_r=float("nan"))).differences == []


def test_a_run_that_trained_with_others_is_compared_by_its_metrics(recorded: Tables) -> None:
    extra = [*recorded.runs[0]["extra"], ("fused", 8.0)]
    found = compare(changed(recorded, "runs", 0, extra=extra), recorded)
    assert found.differences == []
    assert found.circumstances == ["runs that trained together 8 -> 1"]
