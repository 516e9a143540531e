"""What Ray Tune's schedulers decide over runs of a search: on record, among equals, and known after a restart."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from study.launch.ray_schedulers import MAKERS, RaySchedulers, scheduler_of
from study.launch.searcher import GentleScheduler
from study.launch.signals import StopRequest
from study.launch.tuning import Tuning, opened
from study.plan import Plan, build_plan
from study.spec import load_spec
from trainables.ledger import Ledger
from trainables.training.orders import ordered_stop

SPEC = """\
study: s
methods:
  norm: {{loss: norm_softmax, tune: {{loss.scale: {{distribution: loguniform, min: 1, max: 64}}}}}}
  anchor: {{loss: proxy_anchor, tune: {{loss.scale: {{distribution: loguniform, min: 1, max: 64}}}}}}
settings: {{training.epochs: {epochs}, {settings}}}
stages: {{tune: {{sampler: random, trials: {trials}, window: 10, seeds: {seeds}, scheduler: {{ray: {name}}}}}}}
"""
CONTINUE, NOOP = TrialScheduler.CONTINUE, TrialScheduler.NOOP


class FakeTrial:
    """A trial that no worker runs."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.trial_id, self.config = f"t{configuration['run_id']}", configuration
        self.status, self.is_saving = Trial.RUNNING, False

    def init_local_path(self) -> None:
        """No folder."""


class FakeController:
    """Pauses and stops as Tune's controller does, and tells the scheduler as it does."""

    def __init__(self, scheduler: TrialScheduler, tuning: Tuning) -> None:
        self.scheduler, self.tuning = scheduler, tuning
        self.trials: list[FakeTrial] = []

    def get_trials(self) -> list[FakeTrial]:
        return self.trials

    get_live_trials = get_trials

    def pause_trial(self, trial: FakeTrial, should_checkpoint: bool) -> None:
        assert not should_checkpoint, "a study has checkpoints of its own"
        trial.status = Trial.PAUSED

    def stop_trial(self, trial: FakeTrial) -> None:
        self.scheduler.on_trial_remove(self, trial)
        trial.status = Trial.TERMINATED
        self.tuning.ended(trial.config["run_id"])


class Launch:
    """A launch of the searches of a plan, without workers: a test says what trials report."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self.ledger = ledger
        now, history = opened(plan, ledger)
        self.searches = now.searches
        self.tuning = Tuning(now.searches, history, lambda task: {"run_id": task.run.run_id, "judge": task.judge})
        inner = scheduler_of(self.tuning)
        assert inner is not None
        self.inner: RaySchedulers = inner
        self.stop = StopRequest()
        self.scheduler = GentleScheduler(self.stop, inner=inner)
        self.controller = FakeController(self.scheduler, self.tuning)

    def start(self, method: str = "norm", seed: int = 100) -> FakeTrial:
        """The next run of a method and seed as a running trial."""
        for _ in range(100):
            configuration = self.tuning.next()
            assert configuration is not None
            trial, task = FakeTrial(configuration), self.tuning.task(configuration["run_id"])
            if (task.search.cell.method, task.run.seed) == (method, seed):
                self.controller.trials.append(trial)
                self.scheduler.on_trial_add(self.controller, trial)
                return trial
        raise AssertionError("no such run")

    def report(self, trial: FakeTrial, *curve: tuple[int, float]) -> str:
        return self.scheduler.on_trial_result(self.controller, trial, {"curve": list(curve)})

    def ordered(self, trial: FakeTrial) -> int | None:
        """The epoch after which a run is to stop, as a worker reads it."""
        return ordered_stop(self.ledger, trial.config["judge"]["order"])

    def commit(self, trial: FakeTrial, *values: float, status: str = "complete") -> None:
        """What a session commits, and Tune's end of the trial."""
        run_id = trial.config["run_id"]
        row = {"run_id": run_id, "stage": "tune", "attempt": self.ledger.new_attempt(run_id, generation=1)}
        row |= {"status": status, **({"val_map_at_r": values[-1]} if status == "complete" else {})}
        epochs = [{"epoch": epoch, "steps": 3, "val_map_at_r": value} for epoch, value in enumerate(values, 1)]
        self.ledger.commit(row, epochs=epochs)
        trial.status = Trial.TERMINATED
        self.scheduler.on_trial_complete(self.controller, trial, {"curve": list(enumerate(values, 1))})
        self.tuning.ended(run_id)


@pytest.fixture
def launched(tmp_path: Path) -> Callable[..., Launch]:
    def make(name: str, *, epochs: int = 8, seeds: str = "[100]", settings: str = "", trials: int = 10) -> Launch:
        text = SPEC.format(name=name, epochs=epochs, seeds=seeds, settings=settings, trials=trials)
        (tmp_path / "s.yaml").write_text(text)
        plan = build_plan(load_spec(tmp_path / "s.yaml"), resolve_data=False)
        return Launch(plan, Ledger.open(tmp_path / "results", create=True))

    return make


def state(launch: Launch, trial: FakeTrial) -> str:
    """How the setting of a trial stands after another start."""
    again = Launch(_plan_of(launch), launch.ledger)
    for search in again.searches:
        for candidate in search.candidates:
            if any(run.run_id == trial.config["run_id"] for run in candidate.runs):
                return search.state(candidate)
    raise AssertionError("no such setting")


def _plan_of(launch: Launch) -> Plan:
    spec = Path(str(launch.ledger.location)).parent / "s.yaml"
    return build_plan(load_spec(spec), resolve_data=False)


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_poor_run_is_ordered_to_stop_and_is_pruned(name: str, launched: Callable[..., Launch]) -> None:
    launch = launched(name)
    good = [launch.start() for _ in range(4)]
    for trial in good:
        assert [launch.report(trial, (epoch, 0.5 + epoch / 100)) for epoch in (1, 2, 3, 4)] == [CONTINUE] * 4
    poor = launch.start()
    assert launch.ordered(poor) is None
    assert launch.report(poor, (1, 0.1)) == CONTINUE  # Tune lets it go on, and the run stops itself
    assert launch.ordered(poor) == 1 and [launch.ordered(trial) for trial in good] == [None] * 4
    launch.commit(poor, 0.1, status="pruned")
    assert state(launch, poor) == "pruned"


@pytest.mark.parametrize("name", ["asha", "median"])
def test_runs_of_another_cell_or_seed_are_no_measure(name: str, launched: Callable[..., Launch]) -> None:
    launch = launched(name, seeds="[100, 101]")
    for _ in range(4):
        launch.report(launch.start(), (1, 0.5))
    for method, seed in (("anchor", 100), ("norm", 101)):
        other = launch.start(method, seed)
        launch.report(other, (1, 0.1))
        assert launch.ordered(other) is None
    assert len(launch.inner._groups) == 3


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_restart_knows_the_runs_that_ended_before(name: str, launched: Callable[..., Launch]) -> None:
    before = launched(name)
    for trial in [before.start() for _ in range(4)]:
        before.commit(trial, *(0.5 + epoch / 100 for epoch in range(8)))
    after = launched(name)
    poor, resumed = after.start(), after.start()
    after.report(poor, (1, 0.1))
    assert after.ordered(poor) == 1
    # A run that passed its first epochs before the kill is judged by where it is now.
    after.report(resumed, (1, 0.1), (2, 0.1), (3, 0.1), (4, 0.9), (5, 0.95))
    assert after.ordered(resumed) is None


def test_an_order_stands_after_a_kill(launched: Callable[..., Launch]) -> None:
    launch = launched("asha")
    for _ in range(4):
        launch.report(launch.start(), (1, 0.5))
    poor = launch.start()
    launch.report(poor, (1, 0.1))
    again = launched("asha")
    tasks = [again.tuning.next() for _ in range(10)]
    assert {task["run_id"] for task in tasks if task} >= {poor.config["run_id"]}
    task = again.tuning.task(poor.config["run_id"])
    assert task.cutoffs == {1: math.inf} and task.search.is_open(task.run)
    trial = FakeTrial(poor.config)
    again.scheduler.on_trial_add(again.controller, trial)
    assert again.report(trial, (1, 0.1)) == CONTINUE and not again.inner._judges


def test_nan_stops_its_run_and_blocks_nobody(launched: Callable[..., Launch]) -> None:
    launch = launched("asha")
    sick = [launch.start() for _ in range(2)]
    for trial in sick:
        launch.report(trial, (1, math.nan))
    assert [launch.ordered(trial) for trial in sick] == [1, 1]
    good, poor = launch.start(), launch.start()
    launch.report(good, (1, 0.5))
    launch.report(poor, (1, 0.1))
    assert (launch.ordered(good), launch.ordered(poor)) == (None, 1)


def test_nobody_is_judged_within_a_warm_up(launched: Callable[..., Launch]) -> None:
    launch = launched("asha", settings="training.warmup_epochs: 3, protocol.evaluate_every: 2")
    launch.start()
    (group,) = launch.inner._groups
    (judge,) = launch.inner._groups.values()
    assert group.first == 4 and isinstance(judge, AsyncHyperBandScheduler)
    assert "Iter 4.000" in judge.debug_string()
    without = launched("asha", epochs=4, settings="training.warmup_epochs: 3")
    without.start()
    assert not without.inner._groups


def test_hyperband_pauses_runs_and_those_it_drops_come_again_to_be_committed(launched: Callable[..., Launch]) -> None:
    launch = launched("hyperband", epochs=9)
    trials = [launch.start() for _ in range(8)]  # a bracket of 3, which halves nothing, and one of 5
    halved = trials[3:]
    for index, trial in enumerate(halved[:-1]):
        assert launch.report(trial, (3, index / 10)) == NOOP and trial.status == Trial.PAUSED
    assert [launch.ordered(trial) for trial in halved] == [None] * 5
    assert launch.scheduler.choose_trial_to_run(launch.controller) is None
    assert launch.report(halved[-1], (3, 0.9)) == CONTINUE
    dropped = [trial for trial in halved if launch.ordered(trial) == 3]
    assert [trial.status for trial in halved] == [Trial.TERMINATED] * 3 + [Trial.PAUSED, Trial.RUNNING]
    assert dropped == halved[:3]
    assert launch.scheduler.choose_trial_to_run(launch.controller) is halved[3]
    again = [configuration["run_id"] for _ in range(3) if (configuration := launch.tuning.next())]
    assert sorted(again) == sorted(trial.config["run_id"] for trial in dropped)
    assert all(launch.tuning.task(run_id).cutoffs == {3: math.inf} for run_id in again)
    assert all(trial.config["judge"]["pauses"] for trial in trials)


def test_nothing_is_ordered_while_a_launch_is_asked_to_end(launched: Callable[..., Launch]) -> None:
    launch = launched("hyperband", epochs=9)
    halved = [launch.start() for _ in range(8)][3:]
    for index, trial in enumerate(halved[:-1]):
        launch.report(trial, (3, index / 10))
    launch.stop.request()
    assert launch.report(halved[-1], (3, 0.0)) == TrialScheduler.STOP
    launch.scheduler.on_trial_complete(launch.controller, halved[-1], {"curve": [(3, 0.0)]})
    assert launch.scheduler.choose_trial_to_run(launch.controller) is None
    assert [trial.status for trial in halved[:-1]] == [Trial.TERMINATED] * 4
    assert [launch.ordered(trial) for trial in halved] == [None] * 5


def test_every_name_of_the_spec_has_a_scheduler() -> None:
    assert sorted(MAKERS) == ["asha", "hyperband", "median"]
    assert scheduler_of(SimpleNamespace(searches=[])) is None  # type: ignore[arg-type]


def test_a_scheduler_of_ray_is_another_search_and_told(tmp_path: Path) -> None:
    ids = set()
    for name in ("asha", "median", "hyperband"):
        (tmp_path / "s.yaml").write_text(SPEC.format(name=name, epochs=8, seeds="[100]", settings="", trials=4))
        plan = build_plan(load_spec(tmp_path / "s.yaml"), resolve_data=False)
        ids.add(plan.searches[0].cell.cell_id)
        assert any(f"Ray Tune's {name}" in text and "otherwise another time" in text for text in plan.warnings)
        assert json.loads(json.dumps(plan.record()))["searches"][0]["scheduler"] == {"ray": name}
    assert len(ids) == 3


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_run_that_is_tried_again_counts_once(name: str, launched: Callable[..., Launch]) -> None:
    """It ran out of the memory of its share, and goes on in another trial."""
    launch = launched(name)
    first = launch.start()
    assert launch.report(first, (1, 0.5), (2, 0.6)) == CONTINUE
    launch.scheduler.on_trial_complete(launch.controller, first, {"status": "out_of_memory", "curve": []})
    again = FakeTrial(first.config)
    again.trial_id = "another"
    launch.scheduler.on_trial_add(launch.controller, again)
    assert launch.report(again, (1, 0.5), (2, 0.6), (3, 0.7)) == CONTINUE
    (judge,) = launch.scheduler._inner._groups.values()
    if name == "asha":
        assert all(len(recorded) <= 1 for bracket in judge._brackets for _, recorded in bracket._rungs)
    else:
        assert [[each["epoch"] for each in reports] for reports in judge._results.values()] == [[1, 2, 3]]
