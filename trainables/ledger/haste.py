"""Leaving at once, although a storage that is away is still waited for."""

import threading
from collections.abc import Callable
from contextlib import suppress

from trainables.errors import LedgerError

_SECONDS = 2.0


def at_once(action: Callable[[], object]) -> None:
    """Does what is good to be done and may be left undone, and gives up where it takes long."""

    def work() -> None:
        with suppress(LedgerError):  # whoever comes next finds out that this process is gone
            action()

    thread = threading.Thread(target=work, name="leaving", daemon=True)
    thread.start()
    thread.join(_SECONDS)
