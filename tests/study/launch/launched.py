"""Studies of a second, and `dml-study run` as a process in a session of its own, which a test can end as a whole."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.launch import LaunchOptions, Summary, launch
from study.plan import Plan, build_plan
from study.search import Board, SearchHistory
from study.spec import load_spec
from trainables.ledger import Ledger
from trainables.ledger.places import Place
from trainables.losses import LOSSES
from trainables.training.session import Session, SessionOptions

PLUGIN = Path(__file__).with_name("odd_losses.py")
_LIMIT_SECONDS = 240.0
_ATTEMPT = {"attempt", "attempts"}
_TIMES = {"started_at", "ended_at", "wall_seconds", "train_seconds", "eval_seconds", "images_per_second"}
_PROVENANCE = {"git_commit", "study", "origin"}


def spec_text(methods: str, *, compare: str = "", seeds: int = 1, epochs: int = 2, study: str = "s") -> str:
    """A study on the embedded images that trains a run in a moment."""
    return f"""
study: {study}
extends: fast_cpu
methods:
{methods}
datasets:
  shapes: {{name: glyphs, classes: 24, images_per_class: 8, image_size: 16}}
compare: {{dataset: [shapes], {compare}}}
replicates: {{seeds: {seeds}}}
settings: {{backbone: {{name: conv4, width: 8}}, embedding_dim: 16, training.epochs: {epochs}, training.batch_size: 32}}
"""


def results_of(folder: Place) -> dict[str, list[dict[str, Any]]]:
    """Every row that counts, without what names the attempt, measures time or says where it was made."""
    ledger, order = Ledger.open(folder), ("run_id", "phase", "epoch", "class_index")
    tables = {}
    for table in ("runs", "epochs", "classes"):
        rows = ledger.read(table).to_pylist()
        kept = [
            {key: value for key, value in row.items() if key not in _ATTEMPT | _TIMES | _PROVENANCE} for row in rows
        ]
        tables[table] = sorted(kept, key=lambda row: [str(row.get(key)).zfill(9) for key in order])
    return tables


def train_here(folder: Path, text: str, *, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """What a study comes to without Ray and undisturbed: one plain loop over its plan."""
    spec, before = folder / "undisturbed.yaml", dict(LOSSES)
    spec.write_text(text)
    try:
        plan = build_plan(load_spec(spec, plugins=[PLUGIN]), cache=cache)
        ledger = Ledger.open(folder / "undisturbed", create=True)
        for planned in sorted(plan.runs.values(), key=lambda run: bool(run.sources)):
            session = Session(planned.config, ledger=ledger, options=SessionOptions(study="s", cache=cache))
            while not session.done:
                session.step()
    finally:
        LOSSES.clear()
        LOSSES.update(before)
        sys.modules.pop(PLUGIN.stem, None)
    return results_of(folder / "undisturbed")


def search_here(folder: Path, text: str, *, cache: Path) -> dict[str, Any]:
    """What the one search of a study comes to without Ray and undisturbed, as the plan records it."""
    (folder / "undisturbed.yaml").write_text(text)
    ledger = Ledger.open(folder / "undisturbed", create=True)
    history = SearchHistory(ledger)
    plan = build_plan(load_spec(folder / "undisturbed.yaml"), cache=cache, history=history)
    board = Board(plan.searches)
    while (task := board.next()) is not None:
        options = SessionOptions(study="s", cache=cache)
        session = Session(task.run.config, ledger=ledger, options=options, cutoffs=task.cutoffs)
        while not session.done:
            session.step()
        history.look([task.run.run_id])
        board.ended(task.run.run_id)
    record: dict[str, Any] = json.loads(json.dumps(plan.record()))["searches"][0]
    return record


def commits(results: Path) -> dict[str, bytes]:
    """File name -> content of each committed run."""
    return {path.name: path.read_bytes() for path in (results / "runs").glob("[!_.]*.parquet")}


def checkpoints(results: Path) -> list[Path]:
    """What unfinished runs go on from."""
    return [path for path in results.glob("checkpoints/*/*.ckpt") if not path.name.startswith(".")]


METHODS = """
  base: {loss: norm_softmax}
  ps: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: base}
"""
ALPHA = "synthesis.mixup_alpha"


@dataclass
class Here:
    """Launches in this process, in one folder."""

    folder: Path
    cache: Path

    @property
    def results(self) -> Path:
        return self.folder / "results" / "s"

    def plan(self, alphas: str, *, study: str = "s", **settings: Any) -> Plan:
        """A study of a baseline and of Proxy Synthesis at some alphas: an untrained run, one, and one for each."""
        path = self.folder / f"{study}.yaml"
        path.write_text(spec_text(METHODS, compare=f"{ALPHA}: {alphas}", study=study, **settings))
        return build_plan(load_spec(path), cache=self.cache)

    def launch(self, plan: Plan, **options: Any) -> Summary:
        where = self.folder / "results" / plan.study
        return launch(plan, results=where, spec_text="", options=LaunchOptions(cache=self.cache, **options))


def rows_by_run(results: Path) -> dict[str, dict[str, Any]]:
    return {row["run_id"]: row for row in Ledger.open(results).read("runs").to_pylist()}


class Sessions:
    """Commands, each in a process session of its own that also holds whatever it starts."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self._leaders: list[int] = []

    def spawn(self, *command: str, folder: Path, **environment: str) -> "subprocess.Popen[str]":
        """Starts a Python module with arguments."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        own = {"TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**inherited, **own, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._leaders.append(process.pid)
        return process

    def processes(self) -> list[int]:
        """What these commands started and still runs."""
        return [pid for pid in _all_processes() if _session_of(pid) in self._leaders and not _is_zombie(pid)]

    def kill_all(self) -> None:
        """Ends them all, like on a machine that loses power."""
        while processes := self.processes():
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


class Study(Sessions):
    """A folder with a spec, and `dml-study run` as a process in it."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        super().__init__(temporary)
        self.folder = folder
        self.results = folder / "results" / "s"
        self._hurry = folder / "hurry"

    def write(self, text: str) -> None:
        """Makes `text` the spec."""
        (self.folder / "s.yaml").write_text(text)

    def start(self, *options: str, slow: float = 0.0, **environment: str) -> "subprocess.Popen[str]":
        """Starts `dml-study run` on the spec.

        Args:
            slow: seconds that each step of the loss `slow` sleeps.
        """
        environment |= {"SLOW_SECONDS": str(slow), "HURRY": str(self._hurry)}
        return self.command("run", "s.yaml", "--plugin", str(PLUGIN), *options, **environment)

    def hurry(self) -> None:
        """From now on the loss `slow` does not sleep."""
        self._hurry.touch()

    def command(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Starts `dml-study`."""
        return self.spawn("study", *arguments, folder=self.folder, **environment)

    def run(self, *options: str, code: int = 0, **environment: str) -> tuple[str, str]:
        """`start`, waited for; returns standard output and standard error."""
        return ended(self.start(*options, **environment), code=code)

    def commits(self) -> dict[str, bytes]:
        return commits(self.results)

    def checkpoints(self) -> list[Path]:
        return checkpoints(self.results)

    def live(self) -> list[dict[str, Any]]:
        """What attempts under way said last."""
        return Ledger.open(self.results).live() if (self.results / "schema.json").exists() else []

    def logs(self, run_id: str) -> list[str]:
        """The logs of a run, one for each attempt, oldest first."""
        return [path.read_text() for path in sorted((self.results / "logs").glob(f"{run_id}.*.log"))]

    def rows(self, method: str) -> list[dict[str, Any]]:
        """The committed rows of table `runs` that stand behind a method's cells."""
        ledger = Ledger.open(self.results)
        cells = [cell for cell in ledger.read_plan()["cells"] if cell["method"] == method]
        run_ids = {replicate["run_id"] for cell in cells for replicate in cell["replicates"]}
        return [row for row in ledger.read("runs").to_pylist() if row["run_id"] in run_ids]


def _all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def ended(process: "subprocess.Popen[str]", *, code: int) -> tuple[str, str]:
    """Waits for a command and asserts its exit code; returns standard output and standard error."""
    output, errors = process.communicate(timeout=_LIMIT_SECONDS)
    assert process.returncode == code, f"exit code {process.returncode}\n{output}\n{errors}"
    return output, errors


def wait_for(condition: Callable[[], object], what: str, *, process: "subprocess.Popen[str] | None" = None) -> None:
    """Waits until a condition holds; fails when the process ends before."""
    limit = time.monotonic() + _LIMIT_SECONDS
    while not condition():
        assert process is None or process.poll() is None, f"ended before {what}: {process.communicate()}"
        assert time.monotonic() < limit, f"no {what} in time"
        time.sleep(0.02)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
