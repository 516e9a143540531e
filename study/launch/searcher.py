"""Hands the plan's due runs to Ray Tune, one explicit configuration after the other."""

from collections.abc import Callable
from typing import Any

from ray.tune import Stopper
from ray.tune.search import Searcher

from study.launch.signals import StopRequest


class PlanSearcher(Searcher):  # type: ignore[misc]
    """Suggests every due run once, in plan order, and ends; it proposes nothing of its own."""

    def __init__(self, configurations: list[dict[str, Any]], *, stop: StopRequest) -> None:
        super().__init__()
        self._configurations = configurations
        self._stop = stop
        self._next = 0

    def suggest(self, trial_id: str) -> Any:
        if self._stop.requested or self._next == len(self._configurations):
            return Searcher.FINISHED
        self._next += 1
        return self._configurations[self._next - 1]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to learn: results stand in the ledger."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger knows what is due."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class StopOnRequest(Stopper):  # type: ignore[misc]
    """Ends the experiment when a signal asked for it; raises what `check` raises (a lost lease, say)."""

    def __init__(self, stop: StopRequest, *, check: Callable[[], None]) -> None:
        self._stop = stop
        self._check = check

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._check()
        return self._stop.requested

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its settings to a file that is never read; a lease and its thread cannot go there."""
        return (_NeverStop, ())


class _NeverStop(Stopper):  # type: ignore[misc]
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return False
