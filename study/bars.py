"""Progress of work on data: a bar for what takes longer than a second, nothing for what is quick or already cached."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class DataBars:
    """A `trainables.datasets.source.Progress`. Bars vanish when the work is done; without a terminal each is one line.

    Args:
        console: where to; standard error by default.
        delay: seconds that work is silent.
    """

    def __init__(self, *, console: "Console | None" = None, delay: float = 1.0) -> None:
        self._console, self._delay = console, delay
        self._since: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None and self._bars.console.is_terminal:
            self._bars.stop()

    def __call__(self, done: int, total: int, description: str, /) -> None:
        """Reports how far one piece of work is; `description` tells several apart."""
        since = self._since.setdefault(description, time.monotonic())
        if description not in self._tasks and (done >= total or time.monotonic() - since < self._delay):
            return
        bars = self._bars or self._start()
        if description not in self._tasks:
            self._tasks[description] = bars.add_task(description, total=total)
            if not bars.console.is_terminal:
                bars.console.print(f"{description} ({total}) ...", markup=False, highlight=False)
        bars.update(self._tasks[description], completed=done, total=total)

    def _start(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = self._console or Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        self._bars = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        if console.is_terminal:
            self._bars.start()
        return self._bars
