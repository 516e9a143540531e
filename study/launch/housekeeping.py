"""Keeps a growing ledger compact while a study runs: thousands of small files are slow to read."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from trainables.ledger import Ledger
from trainables.ledger.haste import at_once

_INTERVAL_SECONDS = 20.0


class Housekeeping:
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
        self._ledger, self._note, self._interval = ledger, note, interval
        self._failure: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="housekeeping", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if kind is KeyboardInterrupt:
            at_once(self._thread.join)
            return
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                if self._ledger is not None:
                    self._ledger.compact()
                self._note()
            except Exception as failure:  # noqa: BLE001 - a thread has no caller: `__exit__` raises it
                self._failure = failure
                return
