"""What Ray Tune tries next while hyperparameters are searched: the runs of the settings that may start by now."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ray.tune.search import Searcher

from study.launch.signals import StopRequest
from study.launch.tuning import Tuning

_Result = TypeVar("_Result")


class TuneSearcher(Searcher):  # type: ignore[misc]
    """Asks the searches; a run that waits for others to end is asked for again when a trial has reported."""

    def __init__(self, tuning: Tuning, *, stop: StopRequest) -> None:
        super().__init__()
        self._tuning, self._stop = tuning, stop
        self._started: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        if self._stop.requested or self._tuning.board.over:
            return Searcher.FINISHED
        configuration = self._guarded(self._tuning.next)
        if configuration is not None:
            self._started[trial_id] = configuration["run_id"]
        return configuration

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Results stand in the ledger; a trial that Tune gave up after all retries ends the launch."""
        if error:
            self._stop.request()
        run_id = self._started.pop(trial_id, None)
        if run_id is not None:
            self._guarded(partial(self._tuning.ended, run_id))

    def _guarded(self, action: Callable[[], _Result]) -> _Result | None:
        """Tune logs what a searcher raises and waits for ever; an error of storage or sampler ends the launch."""
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next launch goes on
            self._stop.fail(str(error) or type(error).__name__)
            return None

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger and the records know it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its settings to a file that is never read; a live view and its thread cannot go there."""
        return (Searcher, ())
