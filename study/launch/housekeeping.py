"""Keeps a growing ledger compact while a study runs: thousands of small files are slow to read."""

from collections.abc import Callable
from types import TracebackType

from study.launch.background import Background
from trainables.ledger import Ledger
from trainables.ledger.haste import at_once

_INTERVAL_SECONDS = 20.0


class Housekeeping(Background):
    """Compacts the ledger and notes costs now and then, in a thread; there is one, because there is one driver.

    A failure does not stop the runs, which write for themselves; it is raised at the end.
    """

    def __init__(
        self, ledger: Ledger | None, *, note: Callable[[], object] = lambda: None, interval: float = _INTERVAL_SECONDS
    ) -> None:
        """
        Args:
            ledger: to compact; None where other drivers work on it too.
            note: called after each compaction.
        """
        super().__init__("housekeeping", interval=interval)
        self._ledger, self._note = ledger, note
        self._failure: Exception | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is KeyboardInterrupt:
            at_once(self._thread.join)
            return
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def again(self) -> None:
        """Once; after a failure never more."""
        try:
            if self._ledger is not None:
                self._ledger.compact()
            self._note()
        except Exception as failure:  # noqa: BLE001 - a thread has no caller: `__exit__` raises it
            self._failure = failure
            self._ended.set()
