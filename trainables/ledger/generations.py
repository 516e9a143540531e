"""Numbers of drivers, none given out twice: attempts are named after them, and of equal names the later would win."""

import re
from collections.abc import Callable
from random import Random

from trainables.ledger.store import Store

_FOLDER = "generations/"
_CLAIM = re.compile(r"generations/(?P<number>\d{4,})\.(?P<token>[0-9a-f]+)")
_SETTLE_SECONDS = 0.2


def new_generation(store: Store, last: int, *, token: str, sleep: Callable[[float], None]) -> int:
    """A number above all that were claimed before.

    A store has no "create unless it exists": every driver writes a claim under a name of its own, and looks. Of two
    that claim one number the one that looks later sees the other's claim, gives its own up and takes a greater number.

    Args:
        last: the number of the last driver.
        token: what nobody else has.
        sleep: waits for seconds; of several that met each waits for another time.
    """
    pauses = Random(token)
    while True:
        number = 1 + max([last, *_claims(store).values()])
        mine = f"{_FOLDER}{number:04d}.{token}"
        store.put(mine, b"")
        found = _claims(store)
        if not any(other >= number for key, other in found.items() if key != mine):
            break
        store.delete(mine)
        sleep(pauses.uniform(0, _SETTLE_SECONDS))
    for key, other in found.items():
        if other < number:
            store.delete(key)
    return number


def _claims(store: Store) -> dict[str, int]:
    matches = (_CLAIM.fullmatch(key) for key in store.list(_FOLDER))
    return {match[0]: int(match["number"]) for match in matches if match}
