"""What a launch looks like at one moment: how much is done, what is running, how long the rest takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.metrics import describe
from study.wording import format_seconds

_SHOWN_RUNS = 12
_BAR = 20
_ECHO = 2
"""Terminals echo `^C` behind the last row; it must not begin a new line, which nothing would erase."""


@dataclass(frozen=True)
class Snapshot:
    """One look at the ledger.

    Attributes:
        work: due run -> epochs that it trains.
        finished: due run -> final status.
        running: what runs under way said last.
        seconds: since the first run began.
        stopping: whether the launch was asked to end.
        ahead: runs that are expected and not known yet.
    """

    work: Mapping[str, float]
    finished: Mapping[str, str]
    running: Sequence[Mapping[str, Any]]
    seconds: float
    stopping: bool
    ahead: int = 0

    @property
    def total(self) -> int:
        """Runs of the launch, known or not."""
        return len(self.work) + self.ahead

    def summary(self) -> str:
        """Counts and the time left, in one line."""
        failed = sum(status == "failed" for status in self.finished.values())
        parts = [f"{len(self.finished)}/{self.total} done", f"{len(self.running)} running"]
        parts += [f"{failed} failed"] if failed else []
        pruned = sum(status == "pruned" for status in self.finished.values())
        parts += [f"{pruned} pruned"] if pruned else []
        return ", ".join([*parts, "stopping" if self.stopping else self._time_left()])

    def _time_left(self) -> str:
        """By epochs: runs of several lengths, and evaluations without training, are not the same work."""
        total = sum(self.work.values()) * (self.total / max(1, len(self.work)))
        done = sum(self.work[run_id] for run_id in self.finished)
        done += sum(self.work[live["run_id"]] * _share(live) for live in self.running)
        if done < max(2.0, 0.02 * total):
            return "estimating the time left" if self.running or self.finished else "starting"
        return f"about {format_seconds(self.seconds / done * (total - done))} left"


def live_table(now: Snapshot, titles: Mapping[str, str], *, metric: str, width: int) -> RenderableType:
    """A bar, and a row per running run; only the runs' titles give way where the terminal is narrow.

    Args:
        now: what to show.
        titles: of runs, by id.
        metric: the validation metric that selects epochs.
        width: of the terminal.
    """
    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=now.total, completed=len(now.finished), width=_BAR)
    head.add_row(bar, Text(now.summary(), no_wrap=True, overflow="ellipsis"))
    return Group(head, _rows(now.running[:_SHOWN_RUNS], len(now.running), titles, f"val_{metric}", width))


def _rows(shown: Sequence[Mapping[str, Any]], running: int, titles: Mapping[str, str], key: str, width: int) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    if not shown:
        return table
    epochs = [f"{live['epoch']}/{live['epochs']}" if live.get("epochs") else "-" for live in shown]
    metric = describe(key.replace("val_", "test_", 1))
    values = [metric.text(live[key]) if key in live else "" for live in shown]
    label = f"val {metric.label}"
    room = width - _ECHO - len("0123abcd") - max(map(len, ["epoch", *epochs])) - max(map(len, [label, *values])) - 3
    table.add_row("run", "", "epoch", label, style="dim")
    for live, epoch, value in zip(shown, epochs, values, strict=True):
        table.add_row(live["run_id"][:8], Text(_cut(titles[live["run_id"]], room)), epoch, value)
    if running > len(shown):
        table.add_row("", f"... and {running - len(shown)} more")
    return table


def _share(live: Mapping[str, Any]) -> float:
    """How much of its epochs a run has trained."""
    return float(min(1.0, live["epoch"] / live["epochs"])) if live.get("epochs") else 0.0


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"
