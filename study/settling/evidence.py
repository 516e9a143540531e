"""What is known of runs and of earlier looks."""

import json
import math
from functools import cached_property
from typing import Any, Protocol

from study.settling.looks import Look
from trainables.errors import LedgerError
from trainables.ledger import Commit, Ledger
from trainables.ledger.places import keyed

KEY = "settling.json"
_COLUMNS = ("run_id", "status", "test_recall_at_1", "test_r_precision", "test_map_at_r", "extra")


class Evidence(Protocol):
    """How runs ended, and what earlier looks found."""

    def ended(self, run_id: str) -> bool:
        """Whether a run is complete or failed."""

    def value(self, run_id: str, column: str) -> float:
        """A metric of a run that ended; NaN of one that failed."""

    def looks(self, comparison: str) -> tuple[Look, ...]:
        """The looks on record."""

    def note(self, comparison: str, look: Look) -> None:
        """Puts a look on record, where this is allowed to write."""


class NoEvidence:
    """Nothing was trained yet."""

    def ended(self, run_id: str) -> bool:
        return False

    def value(self, run_id: str, column: str) -> float:
        return math.nan

    def looks(self, comparison: str) -> tuple[Look, ...]:
        return ()

    def note(self, comparison: str, look: Look) -> None:
        """Forgets it."""


class LedgerEvidence:
    """A results folder. Looks stand in `settling.json`; a look on record counts, whatever the spec says by now."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._new = False

    def ended(self, run_id: str) -> bool:
        commit = self._commits.get(run_id)
        return commit is not None and commit.status != "pruned"

    def value(self, run_id: str, column: str) -> float:
        row = self._rows[run_id]
        value = row.get(column, dict(row["extra"] or []).get(column))
        return math.nan if row["status"] != "complete" or value is None else float(value)

    def looks(self, comparison: str) -> tuple[Look, ...]:
        return self._looks.get(comparison, ())

    def note(self, comparison: str, look: Look) -> None:
        self._looks[comparison] = (*self.looks(comparison), look)
        self._new = True

    def save(self) -> None:
        """Writes new looks; only the driver of the folder does.

        Raises:
            LedgerError: the folder cannot be written.
        """
        if self._new:
            content = {key: [look.record() for look in looks] for key, looks in self._looks.items()}
            self._ledger.put(KEY, json.dumps(content, indent=1).encode())
            self._new = False

    @cached_property
    def _commits(self) -> dict[str, Commit]:
        return self._ledger.commits()

    @cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        return {row["run_id"]: row for row in self._ledger.read("runs", columns=_COLUMNS).to_pylist()}

    @cached_property
    def _looks(self) -> dict[str, tuple[Look, ...]]:
        if not self._ledger.exists(KEY):
            return {}
        try:
            content = json.loads(self._ledger.get(KEY))
            return {key: tuple(Look(**look) for look in looks) for key, looks in content.items()}
        except (ValueError, TypeError, AttributeError) as error:
            place = keyed(self._ledger.location, KEY)
            raise LedgerError(
                f"{place} is damaged ({error}); restore it, or delete it to have the claims tested again"
            ) from error


def forget_looks(ledger: Ledger) -> None:
    """Takes all looks off the record, when runs behind them no longer count: they are made again from what does."""
    if ledger.exists(KEY):
        ledger.delete(KEY)
