"""The tune stage of a launch: searches proposed setting by setting, trained on Ray Tune."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from study.launch.progress import LiveView
from study.plan import Plan, fitting_searches
from study.search import Board, Candidate, Search, SearchHistory, Task
from study.search.records import LedgerRecords
from study.wording import setting_titles
from trainables.ledger import Ledger


def opened(plan: Plan, ledger: Ledger) -> tuple[Plan, SearchHistory]:
    """The plan as searches and looks at claims in a results folder have it, and what they are read through.

    New looks are put on record.
    """
    history = SearchHistory(ledger)
    if plan.rebuilt is not None and (plan.searches or plan.settling):
        plan = plan.rebuilt(history)
        history.evidence.save()
    return plan, history


def put_aside(plan: Plan, ledger: Ledger, *, policy: str, retry_failed: bool, only: Sequence[str]) -> None:
    """Puts rows of tune runs aside that are to be trained again; `always` forgets the settings too."""
    chosen, commits = fitting_searches(plan, only), ledger.commits()
    tuned = {run.run_id for search in chosen for each in search.candidates for run in each.runs}
    if policy == "always":
        ledger.forget(*(tuned & commits.keys()))
        for key in [key for run_id in tuned for key in ledger.list(f"checkpoints/{run_id}/")]:
            ledger.delete(key)
        for search in chosen:
            LedgerRecords(ledger).forget(search.cell.cell_id)
    elif retry_failed:
        ledger.forget(*(run_id for run_id in tuned & commits.keys() if commits[run_id].status == "failed"))
        for search in chosen:
            failed = [each.number for each in search.candidates if search.state(each) == "failed"]
            LedgerRecords(ledger).reopen(search.cell.cell_id, failed)


def unfinished(plan: Plan, only: Sequence[str]) -> list[Search]:
    """Searches with trials left."""
    return [search for search in fitting_searches(plan, only) if not search.over]


@dataclass
class Tuning:
    """Hands out the runs of searches to Ray Tune, and tells the live view of them.

    Attributes:
        searches: those to finish.
        history: what the searches read their values through.
        configure: a run and its cutoffs as the trial's configuration.
    """

    searches: Sequence[Search]
    history: SearchHistory
    configure: Callable[[Task], dict[str, Any]]

    def __post_init__(self) -> None:
        self._view: LiveView | None = None
        self._proposed: list[tuple[Search, Candidate]] = []
        self._told = 0
        self._tasks: dict[str, Task] = {}
        self.board = Board(self.searches, on_proposal=self._note)

    def show_on(self, view: LiveView) -> None:
        """Tells the view what is proposed already, and what comes."""
        self._view = view
        self._tell()

    def next(self) -> dict[str, Any] | None:
        """The configuration of a run that can start; None where none can."""
        task = self.board.next()
        if task is None:
            return None
        self.history.reopen(task.run.run_id)
        self._tasks[task.run.run_id] = task
        return self.configure(task)

    def task(self, run_id: str) -> Task:
        """A run that was handed out, and for which search."""
        return self._tasks[run_id]

    def ended(self, run_id: str) -> None:
        """A trial has ended: how its run did stands in the ledger."""
        self.history.look([run_id])
        self.board.ended(run_id)
        self._tell()

    def _note(self, search: Search, candidate: Candidate) -> None:
        self._proposed.append((search, candidate))

    def _tell(self) -> None:
        if self._view is None:
            return
        titles = setting_titles(
            (search.cell.summary(), candidate.number, candidate.record()["runs"])
            for search, candidate in self._proposed
        )
        for search, candidate in self._proposed[self._told :]:
            self._view.extend(search.open_runs(candidate), titles=titles, ahead=self.board.runs_ahead)
        self._told = len(self._proposed)
