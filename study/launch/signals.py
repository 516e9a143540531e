"""Ctrl-C and SIGTERM: the first ends cleanly, the second at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody asked the launch to end."""

    def __init__(self) -> None:
        self.requested = False

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
        if self.requested:
            os._exit(128 + number)  # what is written is whole; unfinished runs go on from their checkpoints
        self.requested = True
        print("\nstopping: running trials are saved first; once more to stop at once", file=sys.stderr, flush=True)
