"""What Tune is told to try, in which order and until when: the searcher, the scheduler and the stopper."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from study.launch import signals
from study.launch.searcher import GentleScheduler, PlanSearcher, Watch
from study.launch.signals import StopRequest
from study.launch.tune_searcher import TuneSearcher
from trainables.errors import LedgerError


class Controller:
    """As much of Tune's controller as a scheduler talks to."""

    def __init__(self, *states: str) -> None:
        self.trials = [_trial(state) for state in states]
        self.stopped: list[str] = []

    def get_trials(self) -> list[SimpleNamespace]:
        return self.trials

    def stop_trial(self, trial: SimpleNamespace) -> None:
        self.stopped.append(trial.status)


def _trial(state: str) -> SimpleNamespace:
    trial = SimpleNamespace(status=state, init_local_path=lambda: None)
    trial.is_finished = lambda: trial.status in (Trial.TERMINATED, Trial.ERROR)
    return trial


def scheduler_of(controller: Controller, stop: StopRequest, **others: Any) -> GentleScheduler:
    scheduler = GentleScheduler(stop, **others)
    for trial in controller.trials:
        scheduler.on_trial_add(controller, trial)
    return scheduler


def test_every_due_run_is_suggested_once_in_plan_order() -> None:
    configurations = [{"run_id": name, "sources": ()} for name in "abc"]
    searcher = PlanSearcher(configurations, stop=StopRequest())
    assert [searcher.suggest(f"trial {n}") for n in range(5)] == [*configurations, Searcher.FINISHED, Searcher.FINISHED]


def test_nothing_more_is_suggested_once_the_launch_is_to_end() -> None:
    stop = StopRequest()
    searcher = PlanSearcher([{"run_id": "a", "sources": ()}, {"run_id": "b", "sources": ()}], stop=stop)
    searcher.suggest("1")
    searcher.on_trial_complete("1")
    assert not stop.requested
    searcher.on_trial_complete("1", error=True)  # Tune gave it up
    assert stop.requested
    assert searcher.suggest("2") == Searcher.FINISHED


def family() -> tuple[PlanSearcher, dict[str, dict[str, object]]]:
    """A child, its parent, a grandchild, a stranger, and a child of a run that is complete already."""
    sources = {
        "child": ["stranger", "parent"],
        "parent": [],
        "grandchild": ["child"],
        "stranger": [],
        "late": ["complete before"],
    }
    configurations: dict[str, dict[str, object]] = {
        run_id: {"run_id": run_id, "sources": needed} for run_id, needed in sources.items()
    }
    return PlanSearcher(list(configurations.values()), stop=StopRequest()), configurations


def test_a_run_waits_for_the_one_that_it_learns_from() -> None:
    searcher, runs = family()
    assert [searcher.suggest(trial) for trial in "123"] == [runs["parent"], runs["stranger"], runs["late"]]
    assert searcher.suggest("4") is None
    searcher.on_trial_complete("2", {"status": "complete"})
    assert searcher.suggest("4") is None
    searcher.on_trial_complete("1", {"status": "complete"})
    assert searcher.suggest("4") == runs["child"]
    assert searcher.suggest("5") is None
    searcher.on_trial_complete("4", {"status": "complete"})
    assert [searcher.suggest("5"), searcher.suggest("6")] == [runs["grandchild"], Searcher.FINISHED]


def test_runs_that_learn_from_a_failed_one_are_left_out() -> None:
    searcher, runs = family()
    assert [searcher.suggest(trial) for trial in "123"] == [runs["parent"], runs["stranger"], runs["late"]]
    searcher.on_trial_complete("1", {"status": "failed"})
    assert searcher.suggest("4") == Searcher.FINISHED


class Closed:
    """A gate that refuses some runs."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.ended_runs = set(refused), list[str]()

    def admits(self, run_id: str) -> bool:
        return run_id not in self.refused

    has_time = admits

    def ended(self, run_id: str) -> None:
        self.ended_runs.append(run_id)


def test_runs_that_may_not_start_are_left_out_with_those_that_need_them() -> None:
    _, runs = family()
    gate = Closed("parent")
    searcher = PlanSearcher(list(runs.values()), stop=StopRequest(), gate=gate)  # type: ignore[arg-type]
    assert [searcher.suggest(trial) for trial in "12"] == [runs["stranger"], runs["late"]]
    assert searcher.suggest("3") == Searcher.FINISHED
    searcher.on_trial_complete("1", {"status": "complete"})
    assert gate.ended_runs == ["stranger"]


def test_a_trial_that_waited_too_long_is_dropped_and_so_are_runs_that_need_it() -> None:
    controller = Controller(Trial.PENDING)
    controller.trials[0].config = {"run_id": "parent"}
    gate, (_, runs) = Closed(), family()
    searcher = PlanSearcher(list(runs.values()), stop=StopRequest(), gate=gate)  # type: ignore[arg-type]
    assert [searcher.suggest(trial) for trial in "123"] == [runs["parent"], runs["stranger"], runs["late"]]
    gate.refused.add("parent")

    def stop_trial(trial: SimpleNamespace) -> None:
        trial.status = Trial.TERMINATED
        searcher.on_trial_complete("1", None)

    controller.stop_trial = stop_trial  # type: ignore[method-assign]
    assert scheduler_of(controller, StopRequest(), gate=gate).choose_trial_to_run(controller) is None
    assert searcher.suggest("4") == Searcher.FINISHED


def test_trials_run_until_they_report_and_waiting_ones_are_dropped() -> None:
    stop, controller = StopRequest(), Controller(Trial.TERMINATED, Trial.RUNNING, Trial.PENDING, Trial.PENDING)
    scheduler = scheduler_of(controller, stop)
    running = controller.trials[1]
    assert scheduler.choose_trial_to_run(controller) is controller.trials[2]
    controller.trials[2].status = Trial.RUNNING
    assert scheduler.choose_trial_to_run(controller) is controller.trials[3]
    controller.trials[2].status = Trial.PENDING  # its worker died
    assert scheduler.choose_trial_to_run(controller) is controller.trials[2]
    assert scheduler.on_trial_result(controller, running, {}) == TrialScheduler.CONTINUE
    stop.request()
    assert scheduler.choose_trial_to_run(controller) is None
    assert controller.stopped == [Trial.PENDING, Trial.PENDING]
    assert scheduler.on_trial_result(controller, running, {}) == TrialScheduler.STOP


def test_every_trial_has_a_folder_before_it_starts() -> None:
    """Tune's results name the folders of all trials, and fail for one that was dropped unstarted."""
    made: list[str] = []
    trial = SimpleNamespace(init_local_path=lambda: made.append("folder"))
    GentleScheduler(StopRequest()).on_trial_add(Controller(), trial)
    assert made == ["folder"]


def test_an_error_that_a_trial_reports_ends_the_launch() -> None:
    stop = StopRequest()
    watch = Watch(stop, check=lambda: None)
    assert not watch("1", {"done": True})
    assert not stop.requested
    for _ in range(2):
        watch("2", {"done": True, "error": "the disk is full"})
    assert (stop.requested, stop.errors, stop.interrupted) == (True, ["the disk is full"], False)


def test_a_lost_lease_is_raised_and_late_trials_are_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise LedgerError("the lease is lost")

    stop = StopRequest()
    with pytest.raises(LedgerError, match="the lease is lost"):
        Watch(stop, check=lost).stop_all()
    watch = Watch(stop, check=lambda: None)
    stop.request()
    assert not watch.stop_all()
    now = signals.time.monotonic()
    monkeypatch.setattr(signals.time, "monotonic", lambda: now + signals._GRACE_SECONDS + 1)
    assert watch.stop_all()


class Broken:
    """A tune stage whose storage has gone."""

    board = SimpleNamespace(over=False)

    def next(self) -> None:
        raise LedgerError("the disk is full")

    def ended(self, run_id: str) -> None:
        raise LedgerError("the share is gone")


def test_a_search_that_cannot_be_asked_ends_the_launch_and_does_not_hang() -> None:
    stop = StopRequest()
    searcher = TuneSearcher(Broken(), stop=stop)  # type: ignore[arg-type]
    assert searcher.suggest("1") is None
    assert stop.errors == ["the disk is full"]
    assert searcher.suggest("1") == Searcher.FINISHED


def test_a_search_that_cannot_be_told_ends_the_launch() -> None:
    stop = StopRequest()
    searcher = TuneSearcher(Broken(), stop=stop)  # type: ignore[arg-type]
    searcher._started["1"] = "a run"
    searcher.on_trial_complete("1")
    assert stop.errors == ["the share is gone"] and stop.requested
