"""A command and all processes below it, watched from outside: seconds of CPU and the largest memory of each kind."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_INTERVAL_SECONDS = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """What the processes of one kind took.

    Attributes:
        cpu: seconds, all processes together.
        peak: MiB of the largest one.
    """

    cpu: float = 0.0
    peak: float = 0.0


@dataclass
class Watched:
    """A command that runs inside `with`; afterwards `driver`, `workers` and `rest` say what it took.

    Attributes:
        rest: Ray's own processes.
        wall: seconds until it ended.
    """

    command: Sequence[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    wall: float = 0.0

    def __enter__(self) -> Self:
        self._cpu: dict[int, float] = {}
        self._peak: dict[int, float] = {}
        self._kind: dict[int, str] = {}
        self.began, self._start = time.time(), time.perf_counter()
        with self.log.open("wb") as log:
            env = {**os.environ, **self.env}
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, env=env)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.process.kill()
        self.process.wait()
        self.wall = time.perf_counter() - self._start
        self._ended.set()
        self._thread.join()
        while any(map(_alive, self._kind)):  # Ray's processes notice within seconds that their driver is gone
            time.sleep(_INTERVAL_SECONDS)

    def until(self, condition: Callable[[], bool], *, every: float) -> None:
        """Waits while the command runs.

        Raises:
            SystemExit: the command ended before.
        """
        while not condition():
            if self.process.poll() is not None:
                raise SystemExit(f"{' '.join(self.command)} ended too early:\n{self.log.read_text()[-2000:]}")
            time.sleep(every)

    def usage(self) -> dict[str, Usage]:
        """By kind: driver, workers, rest."""
        result = {kind: Usage() for kind in ("driver", "workers", "rest")}
        for pid, kind in self._kind.items():
            result[kind].cpu += self._cpu[pid]
            result[kind].peak = max(result[kind].peak, self._peak[pid])
        return result

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            for pid in _tree(self.process.pid):
                self._look(pid)

    def _look(self, pid: int) -> None:
        try:
            fields = _stat(pid)
            status = Path(f"/proc/{pid}/status").read_text()
            title = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:  # it has just ended
            return
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
        if peak is None:  # a zombie
            return
        # Workers start under the name of their script, and are then named after what they do; so are Ray's agents.
        worker = "default_worker.py" in title or (title.startswith("ray::") and "Agent" not in title)
        self._kind[pid] = "driver" if pid == self.process.pid else "workers" if worker else "rest"
        self._cpu[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
        self._peak[pid] = int(peak) / 1024


def _tree(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has just ended
                children.setdefault(int(_stat(int(folder.name))[1]), []).append(int(folder.name))
    found, fresh = {root}, [root]
    while fresh:
        fresh = [child for parent in fresh for child in children.get(parent, ())]
        found.update(fresh)
    return found


def _stat(pid: int) -> list[str]:
    """Fields behind the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] not in "ZX"
    except OSError:
        return False


def timed(command: Sequence[str], *, repeat: int) -> dict[str, float]:
    """The least wall and CPU seconds of a command that ends by itself, and its peak in MiB."""
    wall, cpu, peak = [], [], 0.0
    for _ in range(repeat):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _, status, usage = os.wait4(process.pid, 0)
        wall.append(time.perf_counter() - start)
        if status != 0:
            assert process.stderr is not None
            raise SystemExit(f"{' '.join(command)} failed: {process.stderr.read().decode()}")
        cpu.append(usage.ru_utime + usage.ru_stime)
        peak = max(peak, usage.ru_maxrss / 1024)
    return {"wall": min(wall), "cpu": min(cpu), "peak": peak}
