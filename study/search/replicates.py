"""Settings that are clearly worse than the best one so far train no further replicates, repeatably.

Whom a setting is compared with is settled when it is proposed, and its replicates are looked at in their order: neither
timing nor kills change what is trained.
"""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from study.search.candidate import Candidate
from study.search.cell import SearchCell
from study.search.records import Records
from study.search.replicate_rule import ReplicateRule, mean, replicate_rule
from trainables.metrics import sign

if TYPE_CHECKING:
    from study.plan.plan import PlannedRun


class Replicates:
    """Which runs of a search's settings are to be trained, and which settings ended before all of them were."""

    def __init__(self, cell: SearchCell, *, records: Records, value: Callable[["PlannedRun"], float | None]) -> None:
        """
        Args:
            cell: of the search.
            records: where settings that ended are noted.
            value: how a run ended: NaN where it failed or was stopped, None where it is not finished.
        """
        self.rule = replicate_rule(cell.stage)
        self._cell, self._records, self._value = cell, records, value
        self._incumbents: dict[int, Candidate | None] = {}
        self._settled: dict[int, int] = {}
        self._noted: set[int] = set()

    def settle(self, number: int, incumbent: Candidate | None) -> None:
        """Says which setting another one is compared with."""
        self._incumbents[number] = incumbent

    def record(self, number: int) -> dict[str, Any]:
        """Whom a setting is compared with, as JSON values."""
        if self.rule is None:
            return {}
        incumbent = self._incumbents[number]
        return {"incumbent": None if incumbent is None else incumbent.number}

    def trained(self, candidate: Candidate) -> dict[str, Any]:
        """How many runs of a setting were or are to be trained, as JSON values."""
        return {} if self.rule is None else {"replicates": len(self.runs(candidate))}

    def runs(self, candidate: Candidate) -> "tuple[PlannedRun, ...]":
        """Runs of a setting that were trained or may start by now."""
        if self.rule is None:
            return candidate.runs
        if candidate.number not in self._settled:
            if self.waits(candidate):
                return candidate.runs[: self.rule.first]
            count = self._count(self.rule, candidate)
            if not all(self._value(run) is not None for run in candidate.runs[:count]):
                return candidate.runs[:count]
            self._settled[candidate.number] = count
        return candidate.runs[: self._settled[candidate.number]]

    def _count(self, rule: ReplicateRule, candidate: Candidate) -> int:
        incumbent = self._incumbents[candidate.number]
        rivals = [] if incumbent is None else self._scores(incumbent)
        known = [score for score in rivals if score is not None and math.isfinite(score)]
        return rule.trained(self._scores(candidate), known if len(known) == len(rivals) else ())

    def waits(self, candidate: Candidate) -> bool:
        """Whether runs of a setting's incumbent are missing, since they were invalidated: nothing is decided before."""
        incumbent = None if self.rule is None else self._incumbents[candidate.number]
        return incumbent is not None and any(self._value(run) is None for run in incumbent.runs)

    def lost(self, candidate: Candidate) -> bool:
        """Whether a setting was worse than its incumbent before all its runs were trained."""
        runs = self.runs(candidate)
        scores = [self._value(run) for run in runs]
        return len(runs) < len(candidate.runs) and all(score is not None and math.isfinite(score) for score in scores)

    def mean(self, candidate: Candidate) -> float:
        """The mean score of what a setting trained, larger is better: what a sampler learns of one that lost."""
        scores = [score for score in self._scores(candidate)[: len(self.runs(candidate))] if score is not None]
        return mean(scores)

    def skipped(self, candidates: Iterable[Candidate]) -> int:
        """Runs that settings ended without."""
        ended = [each for each in candidates if self._ended(each)] if self.rule is not None else []
        return sum(len(each.runs) - len(self.runs(each)) for each in ended)

    def note(self, candidates: Iterable[Candidate]) -> None:
        """Puts those on record that have ended before all their runs were trained."""
        new = [each for each in candidates if each.number not in self._noted] if self.rule is not None else []
        for candidate in filter(self._ended, new):
            self._noted.add(candidate.number)
            if (count := len(self.runs(candidate))) < len(candidate.runs):
                self._records.put_ended(self._cell.cell_id, candidate.number, replicates=count)

    def _ended(self, candidate: Candidate) -> bool:
        return not self.waits(candidate) and all(self._value(run) is not None for run in self.runs(candidate))

    def _scores(self, candidate: Candidate) -> list[float | None]:
        better, values = sign(self._cell.select_by), [self._value(run) for run in candidate.runs]
        return [None if value is None else better * value for value in values]
