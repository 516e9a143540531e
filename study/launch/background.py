"""Work that repeats itself in a thread while a launch goes on."""

import threading
from types import TracebackType
from typing import Self


class Background:
    """Calls `again` now and then, in a thread, from entering to leaving."""

    def __init__(self, name: str, *, interval: float) -> None:
        """
        Args:
            name: of the thread.
            interval: seconds between calls; the first one waits too.
        """
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def _repeat(self) -> None:
        while not self._ended.wait(self._interval):
            self.again()

    def again(self) -> None:
        """What is repeated. Nobody catches what it raises: that ends the thread."""
        raise NotImplementedError
