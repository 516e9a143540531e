"""Ending early: Ctrl-C, SIGTERM, or an error that would meet every other run too."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_GRACE_SECONDS = 20.0


class StopRequest:
    """Whether the launch is to end, and why.

    Attributes:
        requested: no new trial starts; those under way end their epoch, are saved and stop.
        errors: what ended the launch, where no signal did.
    """

    def __init__(self) -> None:
        self.requested = False
        self.errors: list[str] = []
        self._signals = 0
        self._deadline = float("inf")

    @property
    def interrupted(self) -> bool:
        """A signal asked for it."""
        return self._signals > 0

    @property
    def overdue(self) -> bool:
        """Trials had time to end their epoch; those that did not go on from an older checkpoint next time."""
        return time.monotonic() >= self._deadline

    def request(self, *, grace: float | None = None) -> None:
        """Asks the launch to end.

        Args:
            grace: seconds that trials have to end their epoch.
        """
        if not self.requested:
            self._deadline = time.monotonic() + (_GRACE_SECONDS if grace is None else grace)
        self.requested = True

    def fail(self, error: str) -> None:
        """Ends the launch because of an error."""
        if error not in self.errors:
            self.errors.append(error)
        self.request()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listens to SIGINT and SIGTERM; the former handlers come back at the end."""
        former = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            _tell("stopping: running trials are saved first; once more to stop at once")
            self.request()
        elif self._signals == 2:
            _tell("stopping at once")
            raise KeyboardInterrupt
        else:
            os._exit(128 + number)  # what is written is whole; unfinished runs go on from their checkpoints


def _tell(message: str) -> None:
    print(f"\n{message}", file=sys.stderr, flush=True)
