"""Which run of a study's searches comes next. Knows nothing of Ray."""

import heapq
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from study.search.search import Candidate, Search

if TYPE_CHECKING:
    from study.plan.plan import PlannedRun

OnProposal = Callable[[Search, Candidate], None]


class Board:
    """Hands out the runs of several searches, those of small setting numbers first, each run once.

    Searches of one cell id are one search: their settings and runs are the same.
    """

    def __init__(
        self,
        searches: Sequence[Search],
        *,
        on_proposal: OnProposal = lambda search, candidate: None,
    ) -> None:
        """
        Args:
            searches: where they stand; recorded settings that are not finished go on.
            on_proposal: told of every setting that has runs to train.
        """
        self._searches = list({search.cell.cell_id: search for search in searches}.values())
        self._on_proposal = on_proposal
        self._waiting: list[tuple[int, int, int, PlannedRun]] = []
        self._handed_out: set[str] = set()
        self._under_way: set[str] = set()
        for index, search in enumerate(self._searches):
            for candidate in search.candidates:
                self._offer(index, candidate)
            self._advance(index)

    @property
    def over(self) -> bool:
        """Whether every search has all its trials."""
        return not self._waiting and not self._under_way and all(search.over for search in self._searches)

    @property
    def waiting(self) -> "list[PlannedRun]":
        """Runs that can start now, in order."""
        return [run for *_, run in sorted(self._waiting, key=lambda item: item[:3])]

    @property
    def runs_left(self) -> int:
        """Trainings to come, at most."""
        return sum(search.runs_left for search in self._searches)

    @property
    def runs_ahead(self) -> int:
        """Trainings of settings that are not proposed yet, at most."""
        return sum((search.trials - len(search.candidates)) * search.cell.runs_per_setting for search in self._searches)

    def next(self) -> "PlannedRun | None":
        """A run to start; None where all that can start has been handed out."""
        if not self._waiting:
            return None
        run = heapq.heappop(self._waiting)[-1]
        self._under_way.add(run.run_id)
        return run

    def ended(self, run_id: str) -> None:
        """A run is committed: settings that waited for it are proposed."""
        self._under_way.discard(run_id)
        for index in range(len(self._searches)):
            self._advance(index)

    def _advance(self, index: int) -> None:
        for candidate in self._searches[index].propose():
            self._offer(index, candidate)

    def _offer(self, index: int, candidate: Candidate) -> None:
        search = self._searches[index]
        runs = [run for run in search.open_runs(candidate) if run.run_id not in self._handed_out]
        self._handed_out.update(run.run_id for run in runs)
        for position, run in enumerate(runs):
            heapq.heappush(self._waiting, (candidate.number, index, position, run))
        if runs:
            self._on_proposal(search, candidate)
