"""Which runs of a results folder train together, in `fused.json`: a group that was killed goes on as that group."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from trainables.ledger import Ledger, MissingKeyError

FUSED_KEY = "fused.json"
VERSION = 1


@dataclass(frozen=True)
class FusedGroup:
    """Runs with their slots: a run's last digits depend on how many slots there are, and on which is its own."""

    runs: tuple[str, ...]

    @property
    def name(self) -> str:
        """For a trial."""
        return "fused-" + hashlib.sha256(" ".join(self.runs).encode()).hexdigest()[:8]


class FusedBook:
    """The groups of a folder. One that cannot be read is none: its runs start in new groups.

    Attributes:
        groups: in the order in which they were formed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.groups = _read(ledger)

    def save(self, groups: Iterable[FusedGroup]) -> None:
        """Makes these the groups of their runs; those of other runs, of another shard say, stay.

        Raises:
            LedgerError: the folder cannot be written.
        """
        own = list(groups)
        taken = {run_id for group in own for run_id in group.runs}
        self.groups = [*(group for group in _read(self._ledger) if taken.isdisjoint(group.runs)), *own]
        content = {"version": VERSION, "groups": [list(group.runs) for group in self.groups]}
        self._ledger.put(FUSED_KEY, json.dumps(content, indent=1).encode())


def _read(ledger: Ledger) -> list[FusedGroup]:
    try:
        content = json.loads(ledger.get(FUSED_KEY))
        if content["version"] == VERSION:
            return [FusedGroup(tuple(map(str, runs))) for runs in content["groups"]]
    except (MissingKeyError, ValueError, KeyError, TypeError):
        pass
    return []
