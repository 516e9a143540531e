"""Tells the user when a cluster's head is gone: Ray waits a minute and then ends the process with a log of its own."""

import socket
import sys
from collections.abc import Callable

from study.launch.background import Background

_INTERVAL_SECONDS = 5.0
_TIMEOUT_SECONDS = 5.0
_MISSES = 2


class HeadWatch(Background):
    """Knocks at the head of a cluster, in a thread, for as long as a launch uses it."""

    def __init__(
        self, address: str, *, tell: Callable[[str], None] | None = None, interval: float = _INTERVAL_SECONDS
    ) -> None:
        """
        Args:
            address: host:port of the head.
            tell: gets the message; by default it goes to standard error.
            interval: seconds between knocks.
        """
        super().__init__("head watch", interval=interval)
        self._address, self._tell = address, tell or _to_standard_error
        self._misses = 0

    def again(self) -> None:
        """One knock."""
        self._misses = 0 if self._answers() else self._misses + 1
        if self._misses == _MISSES:
            self._tell(
                f"warning: the head of the Ray cluster, {self._address}, does not answer any more; unless it comes "
                "back within a minute this command ends. Nothing is lost: start it again, on any cluster that sees the "
                "results folder, and it goes on"
            )

    def _answers(self) -> bool:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_TIMEOUT_SECONDS).close()
        except OSError:
            return False
        return True


def _to_standard_error(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
