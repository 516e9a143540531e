"""Real processes, real SIGKILLs: whatever dies and whenever, the same command ends with the same ledger."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from trainables.ledger import Ledger

SPEC = """
study: kills
extends: fast_cpu
methods:
  norm-softmax: {loss: norm_softmax}
  norm-softmax + PS: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: norm-softmax}
datasets:
  shapes: {name: glyphs, classes: 40, images_per_class: 10, image_size: 16}
compare: {dataset: [shapes], synthesis.mixup_alpha: [0.4, 1.0]}
replicates: {seeds: 2}
settings: {backbone: {name: conv4, width: 8}, embedding_dim: 16, training.epochs: 25, training.batch_size: 32}
"""
TIMES = {"started_at", "ended_at", "wall_seconds", "train_seconds", "eval_seconds", "images_per_second", "git_commit"}
ATTEMPT = {"attempt", "attempts"}


def rows(results: Path, *, without: set[str]) -> dict[str, list[dict[str, Any]]]:
    ledger = Ledger.open(results)
    tables = {}
    for table in ("runs", "epochs", "classes"):
        kept = [{k: v for k, v in row.items() if k not in without} for row in ledger.read(table).to_pylist()]
        order = ("run_id", "phase", "epoch", "class_index")
        tables[table] = sorted(kept, key=lambda row: [str(row.get(key)).zfill(9) for key in order])
    return tables


class Study:
    """A folder with a spec, and `dml-study run` as a process in it."""

    def __init__(self, folder: Path, ray_folder: Path) -> None:
        self.folder, self.ray_folder = folder, ray_folder
        self.results = folder / "results" / "kills"
        (folder / "kills.yaml").write_text(SPEC)

    def start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "study", "run", "kills.yaml", "--checkpoint-seconds", "0"]
        environment = {**os.environ, "TMPDIR": str(self.ray_folder), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def finish(self) -> str:
        process = self.start()
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output

    def committed(self) -> int:
        return len(list((self.results / "runs").glob("[!_.]*.parquet")))

    def live(self) -> list[dict[str, Any]]:
        return Ledger.open(self.results).live() if (self.results / "schema.json").exists() else []

    def halfway(self) -> bool:
        """Whether a run has trained some epochs and has many left."""
        return any(5 <= int(path.stem.rpartition("-")[2]) <= 12 for path in self.checkpoints())

    def await_workers(self) -> None:
        """Orphaned workers end by themselves within seconds; here they end now, like on a machine that lost power."""
        for live in self.live():
            with suppress(ProcessLookupError):
                os.kill(live["pid"], signal.SIGKILL)
        while any(Path(f"/proc/{live['pid']}").exists() for live in self.live()):
            time.sleep(0.05)

    def checkpoints(self) -> list[Path]:
        return [path for path in self.results.glob("checkpoints/*/*.ckpt") if not path.name.startswith(".")]


def wait_for(condition: Callable[[], bool], *, process: "subprocess.Popen[str]", what: str) -> None:
    limit = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, f"ended before {what}: {process.communicate()[0]}"
        assert time.monotonic() < limit, f"no {what} within 240 s"
        time.sleep(0.02)


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A short path for Ray's sockets; afterwards nothing of this test's Ray runs on."""
    folder = Path(tempfile.mkdtemp(prefix="dmlt", dir="/tmp"))
    yield folder
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            os.kill(int(process.name), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def study(tmp_path: Path, ray_folder: Path) -> Study:
    return Study(tmp_path, ray_folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The ledger of the same study without Ray and without a kill: one plain loop over the plan."""
    from study.plan import build_plan
    from study.spec import load_spec
    from trainables.training.session import Session, SessionOptions

    folder, cache = tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.getbasetemp() / "cache"
    (folder / "kills.yaml").write_text(SPEC)
    plan = build_plan(load_spec(folder / "kills.yaml"), cache=cache)
    ledger = Ledger.open(folder / "results", create=True)
    for planned in plan.runs.values():
        options = SessionOptions(study="kills", cache=cache, generation=None)
        session = Session(planned.config, ledger=ledger, options=options)
        while not session.done:
            session.step()
    assert len(ledger.commits()) == len(plan.runs) == 8
    return rows(folder / "results", without=TIMES | ATTEMPT)


def assert_same(study: Study, undisturbed: dict[str, list[dict[str, Any]]]) -> None:
    for table, expected in rows(study.results, without=TIMES | ATTEMPT).items():
        assert len(expected) == len(undisturbed[table])
        for row, other in zip(expected, undisturbed[table], strict=True):
            assert {key: (row[key], other[key]) for key in row if row[key] != other[key]} == {}
    assert study.checkpoints() == []


def test_killing_the_driver_changes_nothing(study: Study, undisturbed: dict[str, list[dict[str, Any]]]) -> None:
    process = study.start()
    wait_for(lambda: study.committed() >= 3 and study.halfway(), process=process, what="third run")
    process.kill()
    process.wait()
    study.await_workers()
    unfinished = {path.parent.name for path in study.checkpoints()} - set(Ledger.open(study.results).commits())
    before = {path.name: path.read_bytes() for path in (study.results / "runs").glob("[!_.]*.parquet")}
    assert 3 <= len(before) < 8
    study.finish()
    after = {path.name: path.read_bytes() for path in (study.results / "runs").glob("[!_.]*.parquet")}
    assert before.items() <= after.items(), "a committed run was trained again"
    assert len(after) == 8
    assert unfinished
    for run_id in unfinished:
        (log,) = (study.results / "logs").glob(f"{run_id}.0002_*.log")
        assert "continues after epoch" in log.read_text()
    assert_same(study, undisturbed)


def test_killing_a_worker_changes_nothing(study: Study, undisturbed: dict[str, list[dict[str, Any]]]) -> None:
    process = study.start()
    wait_for(lambda: len(study.checkpoints()) >= 1, process=process, what="checkpoint")
    victim = study.live()[0]
    os.kill(victim["pid"], signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    attempts = {row["run_id"]: row["attempts"] for row in Ledger.open(study.results).read("runs").to_pylist()}
    assert attempts[victim["run_id"]] == 2
    assert_same(study, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_says_how_to_go_on(
    study: Study, undisturbed: dict[str, list[dict[str, Any]]], number: signal.Signals
) -> None:
    process = study.start()
    wait_for(lambda: study.committed() >= 2, process=process, what="second run")
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "stopping: running trials are saved first" in output
    assert "`dml-study run kills.yaml` goes on where this stopped" in output
    assert "Traceback" not in output
    study.finish()
    assert_same(study, undisturbed)


def test_a_second_driver_is_refused(study: Study) -> None:
    first = study.start()
    wait_for(lambda: bool(study.live()), process=first, what="first trial")
    second = study.start()
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 2
    assert "another `dml-study run` is working on this folder" in output
    assert str(first.pid) in output
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
