"""The live view of a launch: one quiet table on a terminal, a line per finished run elsewhere."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live

from study.launch.background import Background
from study.launch.signals import StopRequest
from study.launch.snapshot import Snapshot, live_table
from study.plan import Plan, PlannedRun
from study.wording import failure_reason, format_seconds, run_titles
from trainables.errors import LedgerError
from trainables.ledger import Ledger

_POLL_SECONDS = 1.0
_SUMMARY_SECONDS = 60.0
_UNTRAINED_EPOCHS = 0.5
"""What an evaluation without training counts for, beside runs that train epochs."""

Record = Mapping[str, Any]


class LiveView(Background):
    """Reads the ledger's names and advisory files once a second, in a thread of its own."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        due: Sequence[PlannedRun],
        *,
        stop: StopRequest,
        headline: str = "",
        console: Console | None = None,
    ) -> None:
        """
        Args:
            due: runs that are known to be trained; `extend` adds more.
            headline: instead of the counts of the plan.
        """
        super().__init__("live-view", interval=_POLL_SECONDS)
        self._headline = headline
        self._ahead = 0
        self._plan, self._ledger, self._stop = plan, ledger, stop
        self._titles = run_titles(plan.record()["cells"])
        self._work = {planned.run_id: _epochs(planned) for planned in due}
        self._console = console or Console(stderr=True, highlight=False)
        self._told: set[str] = set()
        self._began: dict[str, float] = {}
        self._summed_up = time.monotonic()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def extend(self, runs: Sequence[PlannedRun], *, titles: Mapping[str, str], ahead: int) -> None:
        """Adds runs while the launch is under way.

        Args:
            runs: that are to be trained too.
            titles: of these runs.
            ahead: how many more are expected after them.
        """
        # The thread iterates over these: they are replaced, not changed.
        self._titles = {**self._titles, **titles}
        self._work = {**self._work, **{planned.run_id: _epochs(planned) for planned in runs}}
        self._ahead = ahead

    def __enter__(self) -> Self:
        commits = self._ledger.commits()
        self._before = {run_id: commit.attempt for run_id, commit in commits.items() if run_id in self._work}
        self._left_behind = {_attempt(live) for live in self._ledger.live()}
        done = len(self._plan.runs) - len(self._work)
        self._print(self._headline or f"{self._plan.study}: {len(self._work)} runs to train, {done} done before")
        if self._console.is_terminal:
            self._live.start()
            self._look()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._thread.join(timeout=10)
        self._live.stop()
        self._tell(self._finished())

    def again(self) -> None:
        """One look, by the thread."""
        with suppress(LedgerError):  # the launch meets it too, and says so: a view ends nothing
            self._look()

    def _look(self) -> None:
        now = self._snapshot()
        self._tell(now.finished)
        if self._console.is_terminal:
            metric, width = self._plan.protocol["select_by"], self._console.width
            self._live.update(live_table(now, self._titles, metric=metric, width=width), refresh=True)
        elif time.monotonic() - self._summed_up >= _SUMMARY_SECONDS:
            self._summed_up = time.monotonic()
            self._print(now.summary())

    def _snapshot(self) -> Snapshot:
        finished, now = self._finished(), time.monotonic()
        running = self._running(finished)
        for live in running:
            self._began.setdefault(live["run_id"], now)
        seconds = now - min(self._began.values(), default=now)
        return Snapshot(self._work, finished, running, seconds, self._stop.requested, self._ahead)

    def _running(self, finished: Mapping[str, str]) -> list[Record]:
        """The newest attempt of each due run that this launch started and that has not ended."""
        live = {live["run_id"]: live for live in self._ledger.live() if _attempt(live) not in self._left_behind}
        return [live[run_id] for run_id in self._work if run_id in live and run_id not in finished]

    def _finished(self) -> dict[str, str]:
        """Due runs that were committed since the launch began, with their status."""
        commits = self._ledger.commits()
        return {
            run_id: commits[run_id].status
            for run_id in self._work
            if run_id in commits and self._before.get(run_id) != commits[run_id].attempt
        }

    def _tell(self, finished: Mapping[str, str]) -> None:
        """A line for each run that has just finished; on a terminal for those that failed."""
        for run_id in (run_id for run_id in finished if run_id not in self._told):
            self._told.add(run_id)
            failed = finished[run_id] == "failed"
            if failed or not self._console.is_terminal:
                self._print(self._line(run_id, finished[run_id]), style="red" if failed else None)

    def _line(self, run_id: str, status: str) -> str:
        took = f" ({format_seconds(time.monotonic() - self._began[run_id])})" if run_id in self._began else ""
        reason = f": {failure_reason(self._ledger, run_id)}" if status == "failed" else took
        total = str(len(self._work) + self._ahead)
        return f"[{len(self._told):{len(total)}}/{total}] {run_id[:8]} {self._titles[run_id]}: {status}{reason}"

    def _print(self, line: str, *, style: str | None = None) -> None:
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def _epochs(planned: PlannedRun) -> float:
    return planned.base.training.epochs if planned.base.strategy.trains else _UNTRAINED_EPOCHS


def _attempt(live: Record) -> tuple[str, str]:
    return live["run_id"], live["attempt"]
