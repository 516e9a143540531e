"""Which run of a study's searches comes next. Knows nothing of Ray."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.search.candidate import Candidate
from study.search.records import stop_key
from study.search.search import Search
from study.search.stopping import ray_scheduler
from trainables.training.cutoffs import Cutoffs

if TYPE_CHECKING:
    from study.plan.plan import PlannedRun

OnProposal = Callable[[Search, Candidate], None]


@dataclass(frozen=True)
class Task:
    """A run to start, and where it is to stop itself.

    Attributes:
        search: that trains it.
    """

    run: "PlannedRun"
    cutoffs: Cutoffs
    search: Search

    @property
    def judge(self) -> dict[str, Any] | None:
        """What a worker is told of the scheduler of Ray Tune that judges the run; None where none does."""
        name = ray_scheduler(self.search.cell.stage.scheduler)
        order = stop_key(self.search.cell.cell_id, self.run.run_id)
        return None if name is None else {"order": order, "pauses": name == "hyperband"}


class Board:
    """Hands out the runs of several searches, those of small setting numbers first, each run once.

    Searches of one cell id are one search: their settings and runs are the same. A run of several searches is handed
    out again only where the one that trained it stopped it and another one would not have.
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
        self._offered: set[tuple[int, str]] = set()
        self._under_way: dict[str, tuple[int, int, int, PlannedRun]] = {}
        for index, search in enumerate(self._searches):
            for candidate in search.candidates:
                self._offer(index, candidate)
            self._advance(index)

    @property
    def over(self) -> bool:
        """Whether every search has all its trials."""
        return not self._under_way and all(search.over for search in self._searches)

    @property
    def waiting(self) -> "list[PlannedRun]":
        """Runs that can start now, in order."""
        entries = sorted(self._waiting, key=lambda item: item[:3])
        runs = {run.run_id: run for _, index, _, run in entries if self._searches[index].is_open(run)}
        return [run for run_id, run in runs.items() if run_id not in self._under_way]

    @property
    def runs_left(self) -> int:
        """Trainings to come, at most."""
        return sum(search.runs_left for search in self._searches)

    @property
    def runs_ahead(self) -> int:
        """Trainings that nobody can start yet, at most."""
        return sum(search.runs_ahead for search in self._searches)

    def next(self) -> Task | None:
        """A run to start; None where all that can start has been handed out."""
        task, elsewhere = None, []
        while self._waiting and task is None:
            entry = heapq.heappop(self._waiting)
            search, run = self._searches[entry[1]], entry[-1]
            if run.run_id in self._under_way:
                elsewhere.append(entry)
            elif search.is_open(run):
                task = Task(run, search.stops.cutoffs(run.run_id), search)
                self._under_way[run.run_id] = entry
        for entry in elsewhere:
            heapq.heappush(self._waiting, entry)
        return task

    def ended(self, run_id: str) -> None:
        """A run is committed: settings that waited for it are proposed.

        One that was told to stop while it paused is handed out once more, to commit what it has.
        """
        entry = self._under_way.pop(run_id, None)
        if entry is not None and self._searches[entry[1]].stops.ordered(run_id):
            heapq.heappush(self._waiting, entry)  # passed over where it is committed
        for index in range(len(self._searches)):
            self._advance(index)

    def _advance(self, index: int) -> None:
        search = self._searches[index]
        grown = search.unfinished if search.replicates.rule is not None else ()
        for candidate in (*grown, *search.propose()):
            self._offer(index, candidate)

    def _offer(self, index: int, candidate: Candidate) -> None:
        search = self._searches[index]
        runs = [run for run in search.open_runs(candidate) if (index, run.run_id) not in self._offered]
        self._offered.update((index, run.run_id) for run in runs)
        for position, run in enumerate(runs):
            heapq.heappush(self._waiting, (candidate.number, index, position, run))
        if runs:
            self._on_proposal(search, candidate)
