"""Ray Tune's extension points, as a plan needs them: what to try next, when to stop, in which order."""

from collections.abc import Callable
from typing import Any

from ray.tune import Stopper
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.fusing.configurations import only, run_ids, status_of
from study.launch.gate import Gate
from study.launch.signals import StopRequest


class PlanSearcher(Searcher):  # type: ignore[misc]
    """Suggests every due run once, in plan order, and ends; it proposes nothing of its own.

    Runs that train together are one suggestion. A run that needs others (its `sources`) waits until all of them are
    complete, and is left out where one failed or may not start.
    """

    def __init__(self, configurations: list[dict[str, Any]], *, stop: StopRequest, gate: Gate | None = None) -> None:
        super().__init__()
        self._waiting = list(configurations)
        self._unfinished = {run_id for configuration in configurations for run_id in run_ids(configuration)}
        self._started: dict[str, dict[str, Any]] = {}
        self._stop, self._gate = stop, gate

    def suggest(self, trial_id: str) -> Any:
        while not self._stop.requested and (configuration := self._next()) is not None:
            self._waiting.remove(configuration)
            admitted = [each for each in run_ids(configuration) if self._gate is None or self._gate.admits(each)]
            for run_id in set(run_ids(configuration)).difference(admitted):
                self._unfinished.discard(run_id)
                self._drop_those_that_need(run_id)
            if admitted:
                self._started[trial_id] = only(admitted, configuration)
                return self._started[trial_id]
        if self._stop.requested or not self._waiting:
            return Searcher.FINISHED
        return None  # asked again when a trial has reported

    def _next(self) -> dict[str, Any] | None:
        """The first run that waits for no other."""
        ready = (each for each in self._waiting if self._unfinished.isdisjoint(each["sources"]))
        return next(ready, None)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Results stand in the ledger; a trial that Tune gave up after all retries would not be the last one."""
        if error:
            self._stop.request()
        configuration = self._started.pop(trial_id, None)
        for run_id in run_ids(configuration) if configuration else ():
            self._ended(run_id, status_of(run_id, result))

    def _ended(self, run_id: str, status: str | None) -> None:
        self._unfinished.discard(run_id)
        refused = self._gate is not None and run_id in self._gate.refused
        if refused or status == "failed":
            self._drop_those_that_need(run_id)
        if self._gate is not None:
            self._gate.ended(run_id)

    def _drop_those_that_need(self, source: str) -> None:
        dropped = [each for each in self._waiting if source in each["sources"]]
        self._waiting = [each for each in self._waiting if source not in each["sources"]]
        for each in dropped:
            self._unfinished.discard(each["run_id"])
            self._drop_those_that_need(each["run_id"])

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger knows what is due."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class InOrder(FIFOScheduler):  # type: ignore[misc]
    """First come, first served, without a look at trials that have ended.

    Tune's own way looks at all trials that ever were, several times for each of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unfinished: list[Trial] = []

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._unfinished.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        self._unfinished = [trial for trial in self._unfinished if not trial.is_finished()]
        return next((trial for trial in self._unfinished if trial.status == Trial.PENDING), None)


class GentleScheduler(TrialScheduler):  # type: ignore[misc]
    """Follows another scheduler until somebody asks to end: then trials stop where they report next, and none starts.

    Tune's own way to stop an experiment kills every worker that needs more than ten seconds to end its step.
    """

    def __init__(self, stop: StopRequest, *, gate: Gate | None = None, inner: TrialScheduler | None = None) -> None:
        """
        Args:
            inner: decides as long as nobody asks to end; first come, first served by default.
        """
        super().__init__()
        self._stop, self._gate = stop, gate
        self._inner = inner or InOrder()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Tune asks for the folder of every trial in the end, and makes none for a trial that is dropped unstarted."""
        trial.init_local_path()
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if self._stop.requested:
            return str(TrialScheduler.STOP)
        return str(self._inner.on_trial_result(tune_controller, trial, result))

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        if not self._stop.requested:
            self._inner.on_trial_error(tune_controller, trial)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Trials that stop because somebody asked are no news: others are not measured by them."""
        if not self._stop.requested:
            self._inner.on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        if not self._stop.requested:
            self._inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        while not self._stop.requested:
            trial = self._inner.choose_trial_to_run(tune_controller)
            if trial is None or self._gate is None or self._gate.has_time(trial.config["run_id"]):
                return trial
            tune_controller.stop_trial(trial)  # it waited too long for a free place
        for trial in tune_controller.get_trials():
            if trial.status in (Trial.PENDING, Trial.PAUSED):
                tune_controller.stop_trial(trial)
        return None

    def debug_string(self) -> str:
        return str(self._inner.debug_string())


class Watch(Stopper):  # type: ignore[misc]
    """Ends the launch for errors that a trial reports; raises what `check` raises (a lost lease, say)."""

    def __init__(self, stop: StopRequest, *, check: Callable[[], None], gate: Gate | None = None) -> None:
        self._stop, self._gate = stop, gate
        self._check = check

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if error := result.get("error"):
            self._stop.fail(error)
        return False

    def stop_all(self) -> bool:
        self._check()
        if self._gate is not None:
            self._gate.tick(self._stop)
        return self._stop.overdue

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its settings to a file that is never read; a lease and its thread cannot go there."""
        return (_NeverStop, ())


class _NeverStop(Stopper):  # type: ignore[misc]
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return False


class Silence(TrialProgressCallback):  # type: ignore[misc]
    """Takes the place of Tune's own lines, some of which `verbose=0` lets through."""

    def log_result(self, trial: Trial, result: dict[str, Any], error: bool = False) -> None:
        """Nothing."""

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Nothing."""
