"""`invalidate`: which runs it takes, what it leaves of them, and that they are due again."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.invalidation import dependents, fitting_runs, invalidate, invalidated_runs
from study.launch.adopt import adopt_siblings
from study.plan import build_plan
from study.spec import load_spec
from trainables.ledger import Ledger
from trainables.ledger.lease import Lease

Call = Callable[..., Any]


def invalid(dml_study: Call, *arguments: str, reason: str = "wrong labels") -> Any:
    return dml_study("invalidate", "tiny", *arguments, "--reason", reason)


def test_it_shows_asks_and_then_moves_rows_aside(
    dml_study: Call, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open(trained)
    before = ledger.read("runs").to_pylist()
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    refused = invalid(dml_study, "--where", "synthesis=proxy_synthesis,seed=1")
    assert refused.code == 1 and "Go on?" in refused.out
    assert ledger.read("runs").to_pylist() == before and not (trained / "invalidated").exists()

    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    outcome = invalid(dml_study, "--where", "synthesis=proxy_synthesis,seed=1")
    assert outcome.code == 0
    assert "complete norm-softmax + PS, ratio 0.5, seed 1\n" in outcome.out
    assert "2 runs (2 complete) will not count any more and be due again" in outcome.out
    assert "next: `dml-study run tiny.yaml` trains them again" in outcome.out
    taken = {row["run_id"] for row in before if row["synthesis"] == "proxy_synthesis" and row["seed"] == 1}
    assert len(taken) == 2 and set(ledger.commits()) == {row["run_id"] for row in before} - taken
    (record,) = (json.loads(path.read_text()) for path in (trained / "invalidated").glob("*.json"))
    assert record["reason"] == "wrong labels" and record["where"] == ["synthesis=proxy_synthesis,seed=1"]
    assert {run["run_id"] for run in record["runs"]} == taken and "@" in record["by"]
    kept = {path.name.partition("-")[0] for path in (trained / "forgotten").glob("*.parquet")}
    assert kept == {"runs", "epochs", "classes"}
    assert "6 complete, 2 due" in dml_study("plan", "tiny.yaml").out


def test_runs_by_their_ids(dml_study: Call, trained: Path) -> None:
    first, second, *others = Ledger.open(trained).commits()
    assert invalid(dml_study, first[:8], second, "--yes").code == 0
    assert set(Ledger.open(trained).commits()) == set(others)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "los=arcface"], "unknown key 'los'; did you mean 'loss'"),
        (["--where", "sead=1"], "unknown key 'sead'; did you mean 'seed'"),
        (["--where", "loss.scael=1"], "did you mean 'scale'"),
        (["--where", "loss"], "'loss' should be key=value, such as method=untrained"),
        (["--where", "seed=17"], "no committed run fits --where seed=17"),
        (["ffff"], "no committed run of .* begins with 'ffff'"),
        ([], "which runs"),
    ],
)
def test_what_names_no_run_is_refused(dml_study: Call, trained: Path, arguments: list[str], message: str) -> None:
    import re

    outcome = invalid(dml_study, *arguments, "--yes")
    assert outcome.code == 2 and re.search(message, outcome.err)
    assert len(Ledger.open(trained).commits()) == 8


def test_a_reason_is_needed(dml_study: Call, trained: Path) -> None:
    for reason in ([], ["--reason", " "]):
        outcome = dml_study("invalidate", "tiny", "--where", "seed=0", "--yes", *reason)
        assert outcome.code == 2 and "--reason is missing: say why" in outcome.err


def test_a_driver_at_work_is_not_disturbed(dml_study: Call, trained: Path) -> None:
    with Lease(Ledger.open(trained)):
        outcome = invalid(dml_study, "--where", "seed=0", "--yes")
    assert outcome.code == 2 and "another `dml-study run` is working on this folder" in outcome.err
    assert len(Ledger.open(trained).commits()) == 8


@pytest.mark.parametrize(
    ("where", "count"),
    [
        (["method=norm-softmax"], 2),
        (["method=norm-softmax", "method=untrained"], 4),
        (["synthesis.ratio=0.5"], 2),
        (["synthesis.ratio=0.5", "synthesis.ratio=1.0,seed=1"], 2),
        (["loss=norm_softmax,synthesis=none"], 4),
        (["dataset=shapes"], 8),
        (["dataset.classes=24"], 8),
        (["status=complete,device=cpu,stage=confirm"], 8),
        (["training.batch_size=16"], 8),
    ],
)
def test_conditions(trained: Path, where: list[str], count: int) -> None:
    assert len(fitting_runs(Ledger.open(trained), where)) == count


def test_runs_that_learnt_from_them_go_with_them(trained: Path) -> None:
    ledger = Ledger.open(trained)
    plan = ledger.read_plan()
    first, second, third = (cell["replicates"][0] for cell in plan["cells"][:3])
    second["sources"], third["sources"] = [first["run_id"]], [second["run_id"]]
    ledger.write_plan(plan)
    assert dependents(ledger, [first["run_id"]]) == {second["run_id"], third["run_id"]}
    assert dependents(ledger, [third["run_id"]]) == set()


def test_checkpoints_go_too_and_siblings_do_not_bring_the_runs_back(
    trained: Path, tmp_path: Path, private_cache: Path
) -> None:
    import shutil

    shutil.copytree(trained, trained.parent / "sibling")
    ledger = Ledger.open(trained)
    wrong, lost, *_ = ledger.commits()
    invalidate(ledger, [wrong], reason="a broken GPU")
    ledger.forget(lost)
    ledger.save_checkpoint(wrong, "0001_01", 1, b"")
    plan = build_plan(load_spec(tmp_path / "tiny.yaml"), cache=private_cache)
    assert invalidated_runs(ledger) == {wrong}
    assert adopt_siblings(plan, ledger, tell=print) == 1
    assert lost in ledger.commits() and wrong not in ledger.commits()
    invalidate(ledger, [wrong], reason="again")
    assert not list(ledger.checkpoints(wrong))


@pytest.mark.parametrize(
    ("settings", "adopted"),
    [
        ([], 1),
        (["protocol.ks=[1, 2]"], 1),
        (["protocol.ks=[1, 16]"], 0),
        (["protocol.deformations=[{name: blur, strength: 1}]"], 0),
    ],
)
def test_a_sibling_gives_what_was_measured_as_asked(
    trained: Path, tmp_path: Path, private_cache: Path, settings: list[str], adopted: int
) -> None:
    import shutil

    shutil.copytree(trained, trained.parent / "sibling")
    ledger = Ledger.open(trained)
    lost, *_ = ledger.commits()
    ledger.forget(lost)
    plan = build_plan(load_spec(tmp_path / "tiny.yaml", overrides=settings), cache=private_cache)
    assert lost in plan.runs
    assert adopt_siblings(plan, ledger, tell=print) == adopted
