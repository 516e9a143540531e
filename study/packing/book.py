"""What a results folder remembers about the GPU memory of its runs, in `packing.json`. All of it is advisory."""

import json
from typing import Any

from trainables.ledger import Ledger, MissingKeyError

PACKING_KEY = "packing.json"
VERSION = 1


class PackingBook:
    """Needs and shares by kind of GPU and kind of run; whatever cannot be read is found out again.

    Attributes:
        needs: kind of GPU -> kind of run -> bytes that one took, or was measured to take.
        shares: kind of GPU -> kind of run -> the smallest share of which it is not known to be too small.
        retried: run that ran out of memory -> the share that it was started again with.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        content = _read(ledger)
        self.needs: dict[str, dict[str, float]] = content["needs"]
        self.shares: dict[str, dict[str, float]] = content["shares"]
        self.retried: dict[str, float] = content["retried"]

    def note(self, table: str, gpu: str, kind: str, value: float) -> None:
        """Remembers the larger of two values."""
        known: dict[str, float] = getattr(self, table).setdefault(gpu, {})
        known[kind] = max(value, known.get(kind, 0.0))

    def save(self) -> None:
        """Writes the file, with what other drivers of the folder wrote since."""
        theirs = _read(self._ledger)
        for table in ("needs", "shares"):
            for gpu, kinds in theirs[table].items():
                for kind, value in kinds.items():
                    self.note(table, gpu, kind, value)
        self.retried = {**theirs["retried"], **self.retried}
        content = {"version": VERSION, "needs": self.needs, "shares": self.shares, "retried": self.retried}
        self._ledger.put(PACKING_KEY, json.dumps(content, indent=1).encode())


def _read(ledger: Ledger) -> dict[str, Any]:
    try:
        content = json.loads(ledger.get(PACKING_KEY))
        if content["version"] == VERSION:
            tables = {table: _kinds(content[table]) for table in ("needs", "shares")}
            return {**tables, "retried": _numbers(content["retried"])}
    except (MissingKeyError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {"needs": {}, "shares": {}, "retried": {}}


def _kinds(content: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {str(gpu): _numbers(kinds) for gpu, kinds in content.items()}


def _numbers(content: dict[str, Any]) -> dict[str, float]:
    numbers = {str(key): float(value) for key, value in content.items()}
    if not all(0 < value < float("inf") for value in numbers.values()):
        raise ValueError("a share or a size that cannot be")
    return numbers
