"""Ray Tune's own schedulers in a search: what they decide is put on record, and the run obeys.

Runs of one cell, seed and fold are compared, those that ended before this launch included. When runs report depends on
timing, and so do the decisions; once one is on record, it stands.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from study.launch.tuning import Tuning
from study.search import Task
from study.search.stopping import ray_scheduler
from trainables.config import RunConfig
from trainables.metrics import sign
from trainables.training.cutoffs import warm_up

Report = dict[str, float]

_KEYS: dict[str, Any] = {"time_attr": "epoch", "metric": "score", "mode": "max"}


class _Group(NamedTuple):
    """Runs that are compared: `first` is the first epoch that counts."""

    cell_id: str
    seed: int
    fold: int | None
    epochs: int
    first: int


@dataclass(frozen=True)
class _Past:
    """A run as a scheduler knows it, whether it ended before this launch or is tried again in another trial."""

    trial_id: str


def _asha(group: _Group) -> TrialScheduler:
    return AsyncHyperBandScheduler(max_t=group.epochs, grace_period=group.first, stop_last_trials=False, **_KEYS)


def _median(group: _Group) -> TrialScheduler:
    """Where there are too few runs to compare with, Ray would pause a run for others; here it goes on."""
    return MedianStoppingRule(grace_period=group.first, min_time_slice=math.inf, **_KEYS)


def _hyperband(group: _Group) -> TrialScheduler:
    return HyperBandScheduler(max_t=group.epochs, stop_last_trials=False, **_KEYS)


MAKERS: dict[str, Callable[[_Group], TrialScheduler]] = {"asha": _asha, "median": _median, "hyperband": _hyperband}


class RaySchedulers(TrialScheduler):  # type: ignore[misc]
    """One scheduler of Ray Tune for each group of comparable runs."""

    def __init__(self, name: str, tuning: Tuning) -> None:
        """
        Args:
            name: key of `MAKERS`.
            tuning: knows the runs, and keeps what is decided.
        """
        super().__init__()
        self._name, self._tuning = name, tuning
        self._groups: dict[_Group, TrialScheduler] = {}
        self._judges: dict[str, TrialScheduler] = {}
        self._told: dict[tuple[str, str], int] = {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A run that is to stop already comes to commit what it has: nobody judges it."""
        task = self._task(trial)
        group = _group(task)
        if group is not None and not task.search.stops.ordered(task.run.run_id):
            judge = self._judges[trial.trial_id] = self._judge(group, task)
            judge.on_trial_add(tune_controller, _known_as(judge, trial))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decides about the newest epoch; a run that was restarted has passed those before it."""
        news = list(self._news(trial, result))
        for passed in news[:-1]:
            judge = self._judges[trial.trial_id]
            _learn(judge, _known_as(judge, trial), passed)
        decision = self._decision(tune_controller, trial, news[-1]) if news else TrialScheduler.CONTINUE
        if decision == TrialScheduler.STOP:
            self._order(trial)  # the run stops itself when it goes on
            return str(TrialScheduler.CONTINUE)
        if decision == TrialScheduler.PAUSE:
            tune_controller.pause_trial(trial, should_checkpoint=False)  # runs have checkpoints of their own
            return str(TrialScheduler.NOOP)
        return str(decision)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        if judge := self._judges.get(trial.trial_id):
            for report in self._news(trial, result):
                _learn(judge, _known_as(judge, trial), report)
        self.on_trial_remove(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self.on_trial_remove(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        if judge := self._judges.pop(trial.trial_id, None):
            judge.on_trial_remove(self._marking(tune_controller), _known_as(judge, trial))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        if self._name != "hyperband":
            return FIFOScheduler().choose_trial_to_run(tune_controller)
        chosen = (judge.choose_trial_to_run(tune_controller) for judge in self._groups.values())
        free = (each for each in tune_controller.get_trials() if each.trial_id not in self._judges)
        pending = (each for each in free if each.status == Trial.PENDING)
        return next(filter(None, chosen), None) or next(pending, None)

    def debug_string(self) -> str:
        return f"{len(self._groups)} of Ray Tune's {self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles its settings to a file that is never read; a ledger and its locks cannot go there."""
        return (FIFOScheduler, ())

    def _task(self, trial: Trial) -> Task:
        return self._tuning.task(trial.config["run_id"])

    def _key(self, trial: Trial) -> tuple[str, str]:
        task = self._task(trial)
        return task.search.cell.cell_id, task.run.run_id

    def _judge(self, group: _Group, task: Task) -> TrialScheduler:
        """The scheduler of a group; a new one is told of the runs that have ended."""
        if group not in self._groups:
            judge = self._groups[group] = MAKERS[self._name](group)
            for past, reports in _ended(task, group):
                _learn_all(judge, past, reports)
        return self._groups[group]

    def _news(self, trial: Trial, result: dict[str, Any]) -> Iterator[Report]:
        """Reports of epochs that the trial's scheduler does not know; a run tells its epochs again after a restart."""
        key, better = self._key(trial), sign(self._task(trial).search.cell.select_by)
        for epoch, value in result.get("curve", ()) if trial.trial_id in self._judges else ():
            if epoch > self._told.get(key, 0):
                self._told[key] = epoch
                yield {"epoch": epoch, "score": better * value}

    def _decision(self, tune_controller: Any, trial: Trial, report: Report) -> str:
        """NaN never reaches a scheduler: nothing is worse, and compared with others it would hold them up."""
        if not math.isfinite(report["score"]):
            return str(TrialScheduler.STOP)
        judge = self._judges[trial.trial_id]
        return str(judge.on_trial_result(self._marking(tune_controller), _known_as(judge, trial), report))

    def _order(self, trial: Trial) -> None:
        """Puts on record that a run stops after the last epoch that was told."""
        task, epoch = self._task(trial), self._told[self._key(trial)]
        task.search.stops.order(task.run.run_id, epoch)

    def _marking(self, tune_controller: Any) -> Any:
        """The controller as a scheduler sees it that stops trials which pause."""
        return _Marking(tune_controller, self._order)


class _Marking:
    """A controller; a trial that is stopped through it is put on record before."""

    def __init__(self, controller: Any, order: Callable[[Trial], None]) -> None:
        self._controller, self._order = controller, order

    def stop_trial(self, trial: Trial) -> None:
        self._order(trial)
        self._controller.stop_trial(trial)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._controller, name)


def scheduler_of(tuning: Tuning) -> RaySchedulers | None:
    """What decides over the runs of searches; None where they stop by cutoffs, or not at all."""
    names = {ray_scheduler(search.cell.stage.scheduler) for search in tuning.searches} - {None}
    return RaySchedulers(names.pop() or "", tuning) if names else None


def _group(task: Task) -> _Group | None:
    """Whom a run is compared with; None where no evaluation lies between its warm-up and its last epoch."""
    run: RunConfig = task.run.config
    every, epochs = run.protocol.evaluate_every, run.training.epochs
    first = (warm_up(run) // every + 1) * every
    return _Group(task.search.cell.cell_id, run.seed, run.fold, epochs, first) if first < epochs else None


def _ended(task: Task, group: _Group) -> Iterator[tuple[_Past, list[Report]]]:
    """Finished runs of a group with what they reported, in the order of their settings."""
    search, better = task.search, sign(task.search.cell.select_by)
    runs = {run.run_id: run for each in search.candidates for run in each.runs if not search.is_open(run)}
    for run_id, run in runs.items():
        if _group(Task(run, {}, search)) == group:
            values = sorted(search.stops.counting(run).items())
            yield _Past(run_id), [{"epoch": epoch, "score": better * value} for epoch, value in values]


def _known_as(judge: TrialScheduler, trial: Trial) -> Any:
    """The same for all trials of a run, which ran out of memory, say; HyperBand pauses and stops the trial itself."""
    return trial if isinstance(judge, HyperBandScheduler) else _Past(trial.config["run_id"])


def _learn_all(judge: TrialScheduler, past: _Past, reports: list[Report]) -> None:
    if reports and not isinstance(judge, HyperBandScheduler):
        judge.on_trial_add(None, past)
        for report in reports:
            _learn(judge, past, report)
        judge.on_trial_remove(None, past)


def _learn(judge: TrialScheduler, trial: Any, report: Report) -> None:
    """Tells a scheduler what it has nothing to decide about. HyperBand compares runs under way alone."""
    if not math.isfinite(report["score"]):
        return
    if isinstance(judge, AsyncHyperBandScheduler):
        judge.on_trial_result(None, trial, report)
    elif isinstance(judge, MedianStoppingRule):
        judge.on_trial_complete(None, trial, report)
