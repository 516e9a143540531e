"""Orders to stop that the driver leaves in a results folder for a run under way."""

import json

from trainables.errors import LedgerError
from trainables.ledger import Ledger
from trainables.ledger.errors import MissingKeyError
from trainables.ledger.places import keyed

STOP_SUFFIX = ".stop.json"


def ordered_stop(ledger: Ledger, key: str) -> int | None:
    """The epoch after which the run of an order is to stop; None where there is no order.

    Raises:
        LedgerError: the order is damaged.
    """
    try:
        return int(json.loads(ledger.get(key))["epoch"])
    except MissingKeyError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{keyed(ledger.location, key)} is damaged ({error}); delete it to have the run go on"
        ) from error
