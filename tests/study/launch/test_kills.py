"""Real processes, real signals: whatever dies and whenever, the same command ends with the same ledger."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launched import Study, ended, results_of, spec_text, train_here, wait_for

from trainables.ledger import Ledger
from trainables.ledger.lease import holder

EPOCHS = 12
SPEC = spec_text(
    """
  slow: {loss: slow}
  slow + PS: {loss: slow, synthesis: proxy_synthesis, baseline: slow}
""",
    compare="synthesis.mixup_alpha: [0.4, 1.0]",
    epochs=EPOCHS,
)
RUNS = 4
RAY_PROGRAMS = {"gcs_server", "raylet"}
Results = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder, cache = tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.getbasetemp() / "cache"
    results = train_here(folder, SPEC, cache=cache)
    trained = [row for row in results["runs"] if row["strategy"] == "plain"]
    assert len(results["runs"]) == RUNS
    assert [row["epochs_trained"] for row in trained] == [EPOCHS] * 3
    assert len({(row["test_map_at_r"], row["final_train_loss"]) for row in trained}) == 3
    return results


@pytest.fixture
def study(study: Study) -> Study:
    study.write(SPEC)
    return study


def assert_same(study: Study, undisturbed: Results) -> None:
    for table, expected in results_of(study.results).items():
        assert len(expected) == len(undisturbed[table]) > 0
        for row, other in zip(expected, undisturbed[table], strict=True):
            assert {key: (row[key], other[key]) for key in row if row[key] != other[key]} == {}
    assert len(study.commits()) == RUNS
    assert study.checkpoints() == []


def half_trained(study: Study) -> list[Path]:
    """Checkpoints of runs that have trained some epochs and have many left."""
    return [path for path in study.checkpoints() if 2 <= int(path.stem.rpartition("-")[2]) <= EPOCHS - 3]


def unfinished(study: Study) -> set[str]:
    """Runs that a checkpoint waits for."""
    return {path.parent.name for path in study.checkpoints()} - set(Ledger.open(study.results).commits())


def has_trained(study: Study, *, since: set[str]) -> bool:
    """Whether a run under way, of an attempt that is not among those before, has ended an epoch."""
    committed = Ledger.open(study.results).commits()
    under_way = [live for live in study.live() if live["attempt"] not in since and live["run_id"] not in committed]
    return any(live.get("epoch") for live in under_way)


def assert_went_on(study: Study, run_id: str) -> None:
    """The newest attempt of a run took up what an older one had trained, and trained the rest."""
    *_, newest = study.logs(run_id)
    assert "continues after epoch" in newest
    assert "select epoch 1," not in newest
    assert f"select epoch {EPOCHS}," in newest


def test_killing_the_driver_changes_nothing(study: Study, undisturbed: Results) -> None:
    process = study.start("--checkpoint-seconds", "0", slow=0.1)
    wait_for(lambda: len(study.commits()) >= 2 and half_trained(study), "a trained run", process=process)
    process.kill()
    process.communicate()
    study.kill_all()
    left, before = unfinished(study), study.commits()
    assert left
    assert 2 <= len(before) < RUNS
    assert [path.name[:10] for path in study.temporary.glob("dml-study-*")] == ["dml-study-"]
    study.run()
    assert before.items() <= study.commits().items(), "a committed run was trained again"
    for run_id in left:
        assert_went_on(study, run_id)
    assert_same(study, undisturbed)
    assert list(study.temporary.glob("dml-study-*")) == [], "a killed driver's temporary files are still there"


def test_killing_a_worker_changes_nothing(study: Study, undisturbed: Results) -> None:
    process = study.start("--checkpoint-seconds", "0", slow=0.1)
    wait_for(lambda: half_trained(study), "checkpoint", process=process)
    victim = half_trained(study)[0].parent.name
    (live,) = (live for live in study.live() if live["run_id"] == victim)
    os.kill(live["pid"], signal.SIGKILL)
    study.hurry()
    _, errors = ended(process, code=0)
    assert "ray" not in errors.lower()
    attempts = {row["run_id"]: row["attempts"] for row in Ledger.open(study.results).read("runs").to_pylist()}
    assert {run_id for run_id, count in attempts.items() if count == 2} == {victim}
    assert_went_on(study, victim)
    assert_same(study, undisturbed)


CTRL_C, SIGTERM = (signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)


@pytest.mark.parametrize(
    "signals",
    [pytest.param([CTRL_C], id="ctrl-c"), pytest.param([CTRL_C, SIGTERM], id="both", marks=pytest.mark.slow)],
)
def test_signals_save_what_runs_and_say_how_to_go_on(
    study: Study, undisturbed: Results, signals: list[tuple[signal.Signals, Callable[[int, int], None]]]
) -> None:
    """Ctrl-C goes to all processes of a terminal's job, Ray's included; a batch system's SIGTERM to the driver.

    The slow case interrupts a study that was interrupted before.
    """
    left: set[str] = set()
    for number, send in signals:
        earlier = {live["attempt"] for live in study.live()}
        process = study.start("--checkpoint-seconds", "3600", slow=0.25)
        wait_for(lambda seen=earlier: study.commits() and has_trained(study, since=seen), "an epoch", process=process)
        send(process.pid, number)
        output, errors = ended(process, code=130)
        assert "stopping: running trials are saved first" in errors
        assert "goes on where this stopped" in output
        assert "Traceback" not in errors
        assert not any("ray" in line.lower() for line in (output + errors).splitlines())
        assert list(study.temporary.glob("dml-study-*")) == []
        assert unfinished(study), f"nothing was saved after {number.name}"
        left |= unfinished(study)
    study.run()
    for run_id in left:
        assert_went_on(study, run_id)
    assert_same(study, undisturbed)


def test_a_second_driver_is_refused_and_a_second_ctrl_c_ends_the_first_at_once(study: Study) -> None:
    process = study.start(slow=60)
    wait_for(lambda: len(study.commits()) == 1 and len(study.live()) == 2, "training", process=process)
    assert all(len(secret) == 64 for secret in secrets_of(study)), "whoever reaches Ray's port may run code"
    _, errors = study.run(code=2)
    assert "another `dml-study run` is working on this folder" in errors
    assert str(process.pid) in errors
    os.killpg(process.pid, signal.SIGINT)
    await_line(process, "once more to stop at once")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = ended(process, code=130)
    assert "stopping at once" in errors
    assert "Traceback" not in errors
    wait_for(lambda: not study.processes(), "end of Ray's processes")
    assert list(study.temporary.glob("dml-study-*")) == []
    assert holder(Ledger.open(study.results)) is None


def secrets_of(study: Study) -> list[str]:
    """What each of Ray's own programs asks of those who speak to it."""
    programs = [pid for pid in study.processes() if Path(f"/proc/{pid}/comm").read_text().strip() in RAY_PROGRAMS]
    assert len(programs) == len(RAY_PROGRAMS)
    environments = [Path(f"/proc/{pid}/environ").read_text() for pid in programs]
    assert all("RAY_AUTH_MODE=token" in environment for environment in environments)
    return [environment.partition("RAY_AUTH_TOKEN=")[2].partition("\0")[0] for environment in environments]


def await_line(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stderr is not None
    assert any(text in line for line in process.stderr), f"'{text}' was not printed"
