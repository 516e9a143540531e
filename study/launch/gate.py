"""Whether a run may still start: within the time limit of a launch and the budget of its study."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from study.costs import Cost, CostBook, Spent, reached, spent
from study.costs.budget import Budget
from study.launch.signals import StopRequest

_ENDING_SECONDS = 10.0
"""For Ray to end, and for the ledger to be tidied up."""
_GRACE_SECONDS = 20.0
"""Running trials end their epoch and are saved; longer where epochs are known to take longer."""
_SAVING = 1.25
"""An epoch may take a little longer than those before."""


@dataclass(frozen=True)
class TimeLimit:
    """A launch ends `seconds` after `began`, on the monotonic clock."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds until the end."""
        return self.began + self.seconds - time.monotonic()


class Gate:
    """Lets runs start. Time and budget only shrink, so that a run that is refused is refused for this launch.

    Attributes:
        refused: runs that could not start.
        out_of_time: the time limit kept a run from starting, or ended one.
        reached: key of the budget that kept a run from starting.
    """

    def __init__(
        self,
        book: CostBook,
        *,
        budget: Budget,
        limit: TimeLimit | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        """
        Args:
            book: what runs cost.
            budget: of the study, over its life.
            limit: of this launch.
            now: seconds since 1970; by default as of now and then by the monotonic clock.
        """
        self._book, self._budget, self._limit, self._now = book, budget, limit, now or _steady()
        self._began: dict[str, float] = {}
        self.refused: set[str] = set()
        self.out_of_time = False
        self.reached: str | None = None

    def admits(self, run_id: str) -> bool:
        """Whether a run may start; if so, it counts as under way until it ends."""
        if not self.has_time(run_id) or not self._affords(run_id):
            return False
        self._began.setdefault(run_id, self._now())
        return True

    def admits_any(self, run_ids: Iterable[str]) -> bool:
        """Whether one of these runs may start; none is started."""
        for run_id in run_ids:
            if self.admits(run_id):
                del self._began[run_id]
                self.refused.clear()
                return True
        return False

    def has_time(self, run_id: str) -> bool:
        """Whether a run that starts now would be saved once before the launch ends."""
        if self._limit is None or self._to_checkpoint(run_id) < self._limit.left() - self._reserve(run_id):
            return True
        self.out_of_time = True
        self._refuse(run_id)
        return False

    def ended(self, run_id: str) -> None:
        """A run is over: what it has cost is known."""
        self._began.pop(run_id, None)
        if self._limit is not None or self._budget != Budget():
            self._book.refresh()

    def tick(self, stop: StopRequest) -> None:
        """Asks the launch to end when running trials need what is left to be saved."""
        if self._limit is None or stop.requested:
            return
        reserve = self._reserve()
        if self._limit.left() <= reserve:
            self.out_of_time = True
            stop.request(grace=max(1.0, reserve - _ENDING_SECONDS))

    def _to_checkpoint(self, run_id: str) -> float:
        """By the runs of its kind; 0 where none has ended yet."""
        work = self._book.costs.work.get(run_id)
        return (self._book.costs.to_checkpoint(work) if work else None) or 0.0

    def _reserve(self, *run_ids: str) -> float:
        """Seconds before the limit at which running trials are asked to end; never more than half of it."""
        assert self._limit is not None
        costs = self._book.costs
        works = [costs.work[run_id] for run_id in (*self._began, *run_ids) if run_id in costs.work]
        epoch = max((costs.epoch_seconds(work) for work in works), default=0.0)
        return min(max(_GRACE_SECONDS, _SAVING * epoch) + _ENDING_SECONDS, self._limit.seconds / 2)

    def _affords(self, run_id: str) -> bool:
        if self._budget == Budget():
            return True
        now, ended = self._now(), self._book.costs.ended
        under_way = {**self._began, run_id: now}
        so_far = spent([*ended, *(self._running(each, began, until=now) for each, began in self._began.items())])
        ahead = spent([*ended, *(self._running(each, began) for each, began in under_way.items())])
        key = reached(self._budget, now=so_far, ahead=ahead)
        if key is not None:
            self.reached = key
            self._refuse(run_id)
        return key is None

    def _running(self, run_id: str, began: float, *, until: float | None = None) -> Cost:
        """A run under way as if it had ended: at a time, or when runs of its kind do."""
        costs = self._book.costs
        work = costs.work.get(run_id)
        expected = (costs.seconds(work) if work else None) or 0.0
        seconds = max(self._now() - began, expected) if until is None else until - began
        gpus, cpus = (work.gpus, work.cpus) if work else (0.0, 1.0)
        return Cost(run_id, "", "running", "", 1.0, seconds, seconds, 0.0, gpus, cpus, began + seconds)

    def _refuse(self, run_id: str) -> None:
        self.refused.add(run_id)
        self._began.pop(run_id, None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its settings to a file that is never read; a ledger and its lock cannot go there."""
        return (type(None), ())


def _steady() -> Callable[[], float]:
    """A clock that is set while a launch runs must not make runs look long or budgets spent."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


def told(key: str, past: Spent, budget: Budget) -> str:
    """Which budget is spent, and how to go on."""
    larger = 2 * getattr(budget, key)
    return (
        f"the budget is reached: {', '.join(past.against(budget))} spent; raise `budget.{key}` in the spec, or say "
        f"`--set budget.{key}={larger:g}`"
    )
