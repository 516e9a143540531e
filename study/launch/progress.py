"""The live view of a launch: one quiet table on a terminal, a line per finished run elsewhere."""

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from study.launch.signals import StopRequest
from study.plan import Plan, PlannedRun
from trainables.ledger import Ledger

_POLL_SECONDS = 1.0
_SHOWN_RUNS = 12


class LiveView:
    """Reads the ledger's names and advisory files once a second, in a thread of its own."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        due: Sequence[PlannedRun],
        *,
        stop: StopRequest,
        console: Console | None = None,
    ) -> None:
        self._plan, self._ledger, self._stop = plan, ledger, stop
        self._due = {planned.run_id: planned for planned in due}
        self._console = console or Console(stderr=True)
        self._seen: set[str] = set()
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="live-view", daemon=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._initial = self._finished_attempts()
        done = len(self._plan.runs) - len(self._due)
        self._console.print(f"{self._plan.study}: {len(self._due)} runs to train, {done} done before", highlight=False)
        if self._console.is_terminal:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=10)
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._show_lines()

    def _watch(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            if self._console.is_terminal:
                self._live.update(self._render(), refresh=True)
            else:
                self._show_lines()

    def _finished_attempts(self) -> dict[str, str]:
        return {run_id: commit.attempt for run_id, commit in self._ledger.commits().items() if run_id in self._due}

    def _finished(self) -> dict[str, str]:
        """Due runs that were committed since the launch began, with their status."""
        commits = self._ledger.commits()
        return {
            run_id: commits[run_id].status
            for run_id in self._due
            if run_id in commits and self._initial.get(run_id) != commits[run_id].attempt
        }

    def _show_lines(self) -> None:
        for run_id, status in self._finished().items():
            if run_id in self._seen:
                continue
            self._seen.add(run_id)
            line = f"[{len(self._seen)}/{len(self._due)}] {run_id} {self._describe(run_id)}: {status}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _describe(self, run_id: str) -> str:
        return self._plan.describe(run_id)

    def _render(self) -> Group:
        finished = self._finished()
        failed = sum(status == "failed" for status in finished.values())
        running = [
            live for live in self._ledger.live() if live.get("run_id") in self._due and live["run_id"] not in finished
        ]
        waiting = len(self._due) - len(finished) - len(running)
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(self._plan.study, style="bold"),
            ProgressBar(total=len(self._due), completed=len(finished), width=30),
            Text(
                f"{len(finished)}/{len(self._due)} done, {len(running)} running, {max(0, waiting)} waiting"
                + (f", {failed} failed" if failed else "")
                + f", {self._eta(len(finished), running)}"
            ),
        )
        return Group(head, self._running_table(running))

    def _eta(self, finished: int, running: Sequence[dict[str, Any]]) -> str:
        if self._stop.requested:
            return "stopping"
        partial = sum(live["epoch"] / live["epochs"] for live in running if live.get("epochs"))
        work = finished + partial
        if work <= 0:
            return "estimating the time left"
        left = (time.monotonic() - self._started) / work * (len(self._due) - work)
        return f"about {format_seconds(left)} left"

    def _running_table(self, running: Sequence[dict[str, Any]]) -> Table:
        table = Table(box=None, padding=(0, 1), show_header=False)
        for live in running[:_SHOWN_RUNS]:
            epochs = f"epoch {live['epoch']}/{live['epochs']}" if live.get("epochs") else "starting"
            table.add_row(live["run_id"], self._describe(live["run_id"]), epochs)
        return table


def format_seconds(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
