"""Waiting for a storage that is away for a while: a server that restarts, a mount that comes back."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from typing import TypeVar

from trainables.errors import ConfigError

VARIABLE = "DML_STUDY_STORAGE_WAIT"
"""Environment variable: seconds that a storage which answered before is waited for."""
_SECONDS = 300.0
_FIRST, _LATER = (1.0, 4.0, 15.0), 30.0
_QUIET_TRIES = 2

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class Patience:
    """Repeats what may pass, after pauses. Says so when it takes long, and when the storage answers again.

    A storage that never answered is wrong rather than busy, and one that was waited for in vain is gone: of both the
    user hears at once.

    Attributes:
        answered: whether the storage answered when it was asked last.
    """

    def __init__(
        self,
        place: str,
        *,
        answered: bool = False,
        pauses: Sequence[float] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            place: what is waited for, for messages.
            pauses: seconds between tries; by default five minutes in all, or what the environment says.
            sleep: replaced in tests.
        """
        self.answered = answered
        self._place, self._sleep = place, sleep
        self._pauses = tuple(_pauses(_seconds()) if pauses is None else pauses)
        self._told = False

    def repeat(self, action: Callable[[], _Result], *, passes: Callable[[Exception], bool]) -> _Result:
        """The result of an action; the last error of one that keeps failing.

        Args:
            passes: whether an error may pass; others are raised at once.
        """
        pauses = self._pauses if self.answered else ()
        for number, pause in enumerate(pauses):
            try:
                return self._noted(action())
            except Exception as error:
                if not passes(error):
                    raise
                self._tell(number, error)
            self._sleep(pause)
        try:
            return self._noted(action())
        except Exception as error:
            self.answered = self.answered and not passes(error)
            raise

    def _noted(self, result: _Result) -> _Result:
        self.answered = True
        if self._told:
            self._told = False
            _log.warning("%s answers again", self._place)
        return result

    def _tell(self, number: int, error: Exception) -> None:
        if number >= _QUIET_TRIES and not self._told:
            self._told = True
            reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), "") or type(error).__name__
            total = sum(self._pauses)
            _log.warning("waiting up to %.0f s for %s, nothing is lost: %s", total, self._place, reason)


def _pauses(seconds: float) -> Iterator[float]:
    """Growing pauses that come to so many seconds."""
    for pause in chain(_FIRST, repeat(_LATER)):
        if seconds <= 0:
            return
        yield min(pause, seconds)
        seconds -= pause


def _seconds() -> float:
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else _SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{VARIABLE}={text}: should be a number of seconds, such as 300, or 0 to wait for nothing")
    return seconds
