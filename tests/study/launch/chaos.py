"""A simulated cluster, and a hand that kills its parts at random moments: trial workers, whole nodes, the driver."""

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from trainables.ledger import Ledger
from trainables.ledger.live import worker_deaths
from trainables.ledger.names import attempt_order
from trainables.ledger.places import Place
from trainables.training.session import MAX_WORKER_DEATHS

_TRIAL = re.compile(r"ray::\w*Trainable")
_QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 2000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
}
_SHOWN_LINES = 15
_LAST_KILL = 0.8
"""Share of the runs that are done before the last kill."""
_WORK_FIRST = 0.75
"""Share of kills that wait until a run is under way; the others come at any moment, that of a start included."""


class Nodes:
    """A head without CPUs, and nodes of one CPU each, all on this machine.

    Args:
        count: nodes besides the head.
        port: of the head; a new cluster at the port of an old one has its address.
    """

    def __init__(self, count: int, *, port: int | None = None) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": _QUICK_TO_NOTICE}
        self._cluster = Cluster(
            initialize_head=True, head_node_args={**head, **({"gcs_server_port": port} if port else {})}
        )
        for _ in range(count):
            self.add()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    @property
    def present(self) -> list[Any]:
        """The nodes besides the head, oldest first."""
        return sorted(self._cluster.worker_nodes, key=raylet)

    def add(self) -> None:
        self._cluster.add_node(wait=False)

    def remove(self, node: Any) -> None:
        """Kills what is left of a node besides its workers, which end when they miss it."""
        self._cluster.remove_node(node, allow_graceful=False)

    def workers(self, *nodes: Any) -> list[int]:
        """Processes that hold a trial, on these nodes or on all."""
        parents = {raylet(node) for node in nodes or self.present}
        return sorted(pid for pid in _processes() if _parent(pid) in parents and _TRIAL.match(_title(pid)))

    def close(self) -> None:
        """Kills all there is; does nothing the second time."""
        for node in self._cluster.list_all_nodes():
            for pid in self.workers(node):
                kill(pid)
            self.remove(node)


def raylet(node: Any) -> int:
    """Process number of a node's raylet, whose children are the node's workers."""
    return int(node.all_processes["raylet"][0].process.pid)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@dataclass(frozen=True)
class Kill:
    """One SIGKILL, or one for each process of a node.

    Attributes:
        what: "worker", "node", "raylet" or "driver".
        runs: ids of those that were under way there.
        seconds: since the chaos began.
        done: runs that were committed by then.
    """

    what: str
    runs: tuple[str, ...]
    seconds: float
    done: int

    def __str__(self) -> str:
        struck = ", ".join(run_id[:8] for run_id in self.runs) or "no run"
        return f"{self.seconds:6.1f} s  {self.what:7}  {self.done:3} runs done, hit: {struck}"


@dataclass
class Chaos:
    """Kills what a deck says, in an order and after pauses drawn from a seed, and starts what the study needs again.

    Attributes:
        results: of the study.
        start: starts the driver, by the same command each time.
        planned: how many runs the study has.
        limit: seconds after which it gives up.
        fell: exit codes of drivers that ended by themselves before their study did.
    """

    results: Place
    nodes: Nodes
    start: Callable[[], "subprocess.Popen[str]"]
    planned: int
    seed: int
    limit: float
    kills: list[Kill] = field(default_factory=list)
    starts: int = 0
    fell: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draws, self._began = random.Random(self.seed), time.monotonic()
        self._output = ""
        self._driver = self._started()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def strike(self, deck: list[str], *, pause: tuple[float, float]) -> None:
        """Kills one part for each card of a shuffled deck, each after a pause of random seconds.

        The kills are spread over the study: each waits until its share of the runs is done.
        """
        for number, what in enumerate(self._draws.sample(deck, len(deck))):
            due = int(_LAST_KILL * self.planned * number / len(deck))
            self._wait(lambda due=due: len(self._ledger.commits()) >= due)  # type: ignore[misc]
            if self._draws.random() < _WORK_FIRST:
                self._wait(lambda: self._runs_of(self.nodes.workers()))
            until = time.monotonic() + self._draws.uniform(*pause)
            self._wait(lambda until=until: time.monotonic() >= until)  # type: ignore[misc]
            getattr(self, f"_strike_{what}")()

    def finish(self) -> str:
        """Waits until the study is trained to its end; returns what its last driver printed."""
        while True:
            self._in_time()
            if self._driver.poll() is None:
                time.sleep(0.1)
            elif self._ended() == 0:
                return self._output
            else:
                self._driver = self._started()

    def _strike_worker(self) -> None:
        self._wait(self._victims)
        pid = self._draws.choice(self._victims())
        runs = self._runs_of([pid])
        kill(pid)
        self._record("worker", runs)

    def _strike_node(self) -> None:
        """A machine loses power: its workers are gone at the same moment."""
        self._strike_whole("node", with_workers=True)

    def _strike_raylet(self) -> None:
        """Ray dies on a machine: its workers go on until they notice."""
        self._strike_whole("raylet", with_workers=False)

    def _strike_whole(self, what: str, *, with_workers: bool) -> None:
        self._wait(self._dispensable)
        node = self._draws.choice(self._dispensable())
        workers = self.nodes.workers(node)
        runs = self._runs_of(workers)
        kill(raylet(node))
        for pid in workers if with_workers else ():
            kill(pid)
        self._record(what, runs)
        self.nodes.remove(node)
        self.nodes.add()

    def _strike_driver(self) -> None:
        runs = self._runs_of(self.nodes.workers())
        kill(self._driver.pid)
        self._driver.communicate()
        self._record("driver", runs)
        self._driver = self._started()

    def _record(self, what: str, runs: tuple[str, ...]) -> None:
        self.kills.append(Kill(what, runs, self.seconds, len(self._ledger.commits())))

    def _victims(self) -> list[int]:
        return [pid for pid in self.nodes.workers() if self._may_die([pid])]

    def _dispensable(self) -> list[Any]:
        return [node for node in self.nodes.present if self._may_die(self.nodes.workers(node))]

    def _may_die(self, pids: list[int]) -> bool:
        """A run whose workers died too often under one driver is taken for the culprit: chance must not frame it."""
        ledger = self._ledger
        for live in (live for live in ledger.live() if live.get("pid") in pids):
            generation, _ = attempt_order(live["attempt"])
            if worker_deaths(ledger, live["run_id"], generation=generation)[1] >= MAX_WORKER_DEATHS:
                return False
        return True

    def _runs_of(self, pids: list[int]) -> tuple[str, ...]:
        newest = {live["run_id"]: live.get("pid") for live in self._ledger.live()}
        return tuple(run_id for run_id, pid in newest.items() if pid in pids)

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger.open(self.results, create=True)

    def _started(self) -> "subprocess.Popen[str]":
        self.starts += 1
        return self.start()

    def _wait(self, condition: Callable[[], object]) -> None:
        """Keeps a driver running until a condition holds."""
        while not condition():
            self._in_time()
            if self._driver.poll() is not None:
                code = self._ended()
                assert code != 0, f"the study was over after {len(self.kills)} kills: let its runs take longer"
                self._driver = self._started()
            time.sleep(0.05)

    def _ended(self) -> int:
        """Exit code of a driver that has ended."""
        output, errors = self._driver.communicate()
        self._output = output + errors
        if self._driver.returncode != 0:
            self.fell.append(self._driver.returncode)
        return self._driver.returncode

    def _in_time(self) -> None:
        if self.seconds < self.limit:
            return
        kill(self._driver.pid)
        output, errors = self._driver.communicate()
        shown = "\n".join((output + errors).splitlines()[-_SHOWN_LINES:])
        commits = self._ledger.commits()
        live = [f"{live['run_id'][:8]} (attempt {live['attempt']})" for live in self._ledger.live()]
        raise AssertionError(
            f"{self.planned - len(commits)} of {self.planned} runs are left after {self.limit:.0f} s; under way: "
            f"{', '.join(live) or 'nothing'}; {len(self.nodes.present)} nodes, {len(self.nodes.workers())} workers; "
            f"{len(self.kills)} kills, drivers that fell: {self.fell}.\n{shown}\n{self.report()}"
        )

    def report(self) -> str:
        """What was killed when, and what was trained more than once."""
        kinds = Counter(kill.what for kill in self.kills)
        lines = [
            f"{len(self.kills)} kills by SIGKILL ({', '.join(f'{kinds[what]} {what}' for what in sorted(kinds))}), "
            f"{self.starts} starts of the driver, {len(self.fell)} of them ended by themselves {self.fell or ''}",
            *map(str, self.kills),
        ]
        return "\n".join(lines)


def retrained(results: Place) -> str:
    """Runs that took more than one attempt, and how many of those took up what an older one had trained."""
    ledger = Ledger.open(results)
    attempts = {row["run_id"]: row["attempts"] for row in ledger.read("runs").to_pylist()}
    again = {run_id: count for run_id, count in attempts.items() if count > 1}
    continued = sum(_continued(ledger, run_id) for run_id in again)
    listed = ", ".join(f"{run_id[:8]} x{count}" for run_id, count in sorted(again.items(), key=lambda item: -item[1]))
    several = f"{len(again)} of {len(attempts)} runs took several attempts"
    return f"{several}, {continued} of them went on from a checkpoint: {listed}"


def _continued(ledger: Ledger, run_id: str) -> bool:
    return any(b"continues after epoch" in ledger.get(key) for key in ledger.list(f"logs/{run_id}."))
