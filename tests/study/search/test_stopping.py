"""The promise for stops: a function of the spec and of curves, never of timing, kills or the number of workers."""

import json
import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from study.plan import Plan, PlannedRun
from study.search import Board, Space
from study.search.sampling import Pruned, suggest
from study.search.stopping import RULES, StoppingRule
from study.spec.errors import Place
from study.spec.tune import Dimension, Range
from trainables.config import RunConfig
from trainables.training.cutoffs import Curve

Make = Callable[..., Any]


@pytest.fixture
def stopping_spec(tuned_spec: Make) -> Make:
    def make(scheduler: str = "halving", **options: Any) -> str:
        text: str = tuned_spec(**{"window": 2, "trials": 16, **options})
        text = text.replace("seeds: [100, 101]", f"seeds: [100, 101], scheduler: {scheduler}")
        return text + "settings: {training.epochs: 16}\n"

    return make


def recorded(toy: Any) -> list[dict[str, Any]]:
    """The records of the only search, in number order."""
    (records,) = toy.records.values()
    return [records[number] for number in sorted(records)]


@pytest.mark.parametrize(
    ("scheduler", "sections", "rungs"),
    [
        ("halving", {"training": {"epochs": 20}}, [5, 10]),
        ("asha", {"training": {"epochs": 20}}, [2, 5]),
        ("halving", {"training": {"epochs": 20}, "protocol": {"evaluate_every": 3}}, [6, 12]),
        ("halving", {"training": {"epochs": 20}, "protocol": {"evaluate_every": 10}}, [10]),
        ("halving", {"training": {"epochs": 20}, "protocol": {"evaluate_every": 20}}, []),
        ("halving", {"training": {"epochs": 20, "warmup_epochs": 5}}, [10]),
        ("halving", {"training": {"epochs": 20, "lr_warmup_epochs": 4}}, [5, 10]),
        ("asha", {"training": {"epochs": 20}, "loss": "triplet", "synthesis": {"name": "xbm", "warmup_epochs": 4}}, []),
        ("halving", {"training": {"epochs": 2}}, [1]),
        ("halving", {"training": {"epochs": 1}}, []),
    ],
)
def test_rungs_are_evaluations_after_the_warm_up(scheduler: str, sections: dict[str, Any], rungs: list[int]) -> None:
    assert RULES[scheduler].rungs(RunConfig.model_validate(sections)) == rungs


def test_a_cutoff_is_a_quantile_of_enough_values() -> None:
    halving, asha = RULES["halving"], RULES["asha"]
    scores = [0.4, 0.1, 0.3, 0.2]
    assert halving.cutoff(scores) == pytest.approx(0.25)
    assert asha.cutoff(scores) == pytest.approx(0.325)  # a quarter of the way from 0.3 to 0.4
    assert halving.cutoff([*scores, math.nan, -math.inf]) == halving.cutoff(sorted(scores))
    assert halving.cutoff(scores[:3]) is None
    assert StoppingRule(factor=2, minimum=2).cutoff(scores[:2]) == pytest.approx(0.25)


@pytest.mark.parametrize(("scheduler", "sampler"), [("halving", "tpe"), ("asha", "tpe"), ("halving", "random")])
def test_any_number_of_workers_and_any_order_give_the_same_stops(
    scheduler: str, sampler: str, make_plan: Make, make_stopping_toy: Make, stopping_spec: Make
) -> None:
    plan: Plan = make_plan(stopping_spec(scheduler, sampler=sampler))
    toy = make_stopping_toy()
    alone = toy.finish(plan)
    (search,) = alone.searches
    states = [search.state(candidate) for candidate in search.candidates]
    assert states[:5] == ["complete"] * 5 and states.count("pruned") >= 3
    assert search.chosen is not None and search.state(search.chosen) == "complete"
    for workers in (2, 3, 8):
        other = make_stopping_toy()
        together = other.finish(plan, workers=workers, order=workers)
        assert other.records == toy.records and other.stops(together) == toy.stops(alone)
        assert together.searches[0].chosen == search.chosen


@pytest.mark.parametrize("until", [3, 22, 41, 55])
def test_a_search_that_stops_runs_goes_on_from_what_is_recorded(
    until: int, make_plan: Make, make_stopping_toy: Make, stopping_spec: Make
) -> None:
    plan: Plan = make_plan(stopping_spec())
    undisturbed, toy = make_stopping_toy(), make_stopping_toy()
    expected = undisturbed.finish(plan)
    toy.finish(plan, workers=4, order=1, until=until)
    ended = toy.finish(plan, workers=2, order=2)
    assert toy.records == undisturbed.records and toy.curves == undisturbed.curves
    assert toy.stops(ended) == undisturbed.stops(expected)


def test_cutoffs_are_those_of_the_same_seed_and_fold(
    make_plan: Make, make_stopping_toy: Make, stopping_spec: Make
) -> None:
    toy = make_stopping_toy()
    toy.finish(make_plan(stopping_spec(window=2)), workers=4, order=3)
    records = recorded(toy)
    assert all(run["cutoffs"] == [] for record in records[:5] for run in record["runs"])
    fifth = records[5]
    assert len(fifth["runs"]) == 4
    for index, run in enumerate(fifth["runs"]):  # settings 0 to 5 - 2, none of which stopped
        curves = [toy.curves[record["runs"][index]["run_id"]].values for record in records[:4]]
        assert run["cutoffs"] == [[rung, statistics.median(each[rung] for each in curves)] for rung in (4, 8)]
    last = records[15]
    for index, run in enumerate(last["runs"]):  # a run that stopped is compared with where it came
        curves = [toy.curves[record["runs"][index]["run_id"]].values for record in records[:14]]
        reached = {rung: [each[rung] for each in curves if rung in each] for rung in (4, 8)}
        assert len(reached[8]) < len(reached[4]) == 14
        assert dict(run["cutoffs"]) == {rung: statistics.median(values) for rung, values in reached.items()}
    assert json.loads(json.dumps(records)) == records


def test_no_stopped_setting_is_chosen(make_plan: Make, make_stopping_toy: Make, stopping_spec: Make) -> None:
    seen: list[float] = []

    def rank(run: PlannedRun) -> float:
        """Every setting ends better than all before it."""
        scale = run.config.loss.scale  # type: ignore[attr-defined]
        seen.extend([] if scale in seen else [scale])
        return float(seen.index(scale))

    toy = make_stopping_toy(rank, shape=lambda run, final, share: final if share == 1 else -final)
    (search,) = toy.finish(make_plan(stopping_spec(sampler="random"))).searches
    pruned = [candidate for candidate in search.candidates if search.state(candidate) == "pruned"]
    assert len(pruned) == search.pruned >= 3 and search.done == 16
    assert search.chosen.number == 4 and all(rank(candidate.runs[0]) > 4 for candidate in pruned)
    for candidate in pruned:
        assert search.value(candidate) is None and search.open_runs(candidate) == []
        assert search.record()["settings"][candidate.number]["state"] == "pruned"


def test_a_failed_run_is_nobodys_measure(make_plan: Make, make_stopping_toy: Make, stopping_spec: Make) -> None:
    """How many epochs a run has when its worker dies depends on timing."""
    found = []
    for epochs in (2, 9):
        toy = make_stopping_toy()
        plan = make_plan(stopping_spec(sampler="random", trials=9))
        board = Board(plan.rebuilt(toy).searches)
        while (task := board.next()) is not None:
            toy.end(task)
            if len(toy.values) == 1:
                failed = task.run.run_id
                toy.curves[failed] = Curve({e: v for e, v in toy.curves[failed].values.items() if e <= epochs})
            toy.values[failed] = math.nan
            board.ended(task.run.run_id)
        (search,) = plan.rebuilt(toy).searches
        assert search.state(search.candidates[0]) == "failed"
        found.append((toy.records, toy.stops(plan.rebuilt(toy))))
    assert found[0] == found[1]


SHARED = """\
study: s
methods:
  norm: {loss: norm_softmax, tune: {loss.scale: [1, 2, 4, 8, 16, 32]}}
  ps: {extends: norm, synthesis: proxy_synthesis, baseline: norm, tune: {synthesis.ratio: [0, 1.0]}}
settings: {training.epochs: 16}
stages: {tune: {sampler: random, trials: 20, window: 2, seeds: [100], scheduler: halving}}
"""


def test_searches_that_share_runs_stop_them_each_by_its_own_cutoffs(make_plan: Make, make_stopping_toy: Make) -> None:
    """Without mixing Proxy Synthesis is its base loss; which search trains such a run first depends on timing."""

    def better_with_mixing(run: PlannedRun) -> float:
        config = run.config
        return config.loss.scale / 100 + 0.2 * (config.synthesis.name != "none")  # type: ignore[attr-defined, no-any-return]

    plan: Plan = make_plan(SHARED)
    outcomes, again = [], 0
    for workers, order in ((1, 0), (2, 1), (5, 2), (9, 3)):
        toy = make_stopping_toy(better_with_mixing)
        done = toy.finish(plan, workers=workers, order=order)
        assert all(search.over for search in done.searches)
        outcomes.append((toy.records, toy.stops(done), [search.chosen for search in done.searches]))
        started = [run.run_id for run in toy.started]
        again += len(started) - len(set(started))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert again > 0, "no run that one search stopped went on for the other"


def test_a_run_that_another_search_stopped_is_due(
    make_plan: Make, make_stopping_toy: Make, stopping_spec: Make
) -> None:
    toy = make_stopping_toy()
    stopped = toy.finish(make_plan(stopping_spec(sampler="random"))).searches[0]
    plan: Plan = make_plan(stopping_spec("none", sampler="random"))
    (search,) = plan.rebuilt(toy).searches  # type: ignore[misc]
    run = stopped.candidates[-1].runs[0]
    toy.curves[run.run_id] = Curve({4: 0.0})
    toy.values.pop(run.run_id, None)
    assert search.is_open(run)


def test_lost_records_get_the_same_cutoffs(make_plan: Make, make_stopping_toy: Make, stopping_spec: Make) -> None:
    plan: Plan = make_plan(stopping_spec())
    toy = make_stopping_toy()
    toy.finish(plan, workers=3)
    before = json.dumps(recorded(toy))
    (records,) = toy.records.values()
    for number in (4, 9, 15):
        del records[number]
    done = toy.finish(plan)
    assert json.dumps(recorded(toy)) == before and done.searches[0].differences() == []


def test_recorded_cutoffs_count_and_a_difference_is_told(
    make_plan: Make, make_stopping_toy: Make, stopping_spec: Make
) -> None:
    plan: Plan = make_plan(stopping_spec(sampler="random"))
    toy = make_stopping_toy()
    toy.finish(plan)
    recorded(toy)[7]["runs"][0]["cutoffs"] = [[4, -9.0]]
    (search,) = plan.rebuilt(toy).searches  # type: ignore[misc]
    assert search.stops.cutoffs(search.candidates[7].runs[0].run_id) == {4: -9.0}
    assert any("setting 7 has cutoffs on record that it would not get today" in text for text in search.differences())


def test_what_can_never_stop_is_told(make_plan: Make, stopping_spec: Make) -> None:
    (text,) = [each for each in make_plan(stopping_spec(trials=5)).warnings if "stopped early" in each]
    assert "no run of 'norm (dataset=glyphs)' can be stopped early: the first 5 settings train to the end" in text
    assert not any("stopped early" in each for each in make_plan(stopping_spec(trials=6)).warnings)


def test_samplers_rank_stopped_settings_below_all_others() -> None:
    space = Space.of(
        {key: Dimension(key, Range(distribution="uniform", min=0.0, max=1.0), Place("")) for key in ("a", "b")}
    )
    points = [suggest(space, sampler="random", scope=(0, "x"), number=n, finished=[], running=[]) for n in range(14)]

    def asked(sampler: str, score: Any) -> dict[str, Any]:
        finished = [(params, score if n == 7 else n / 20 + 0.1) for n, params in enumerate(points)]
        return suggest(space, sampler=sampler, scope=(0, "x"), number=14, finished=finished, running=[])

    assert asked("tpe", Pruned(4, 0.99)) == asked("tpe", Pruned(8, 0.0)) == asked("tpe", 0.1) != asked("tpe", 0.99)
    assert asked("gp", Pruned(4, 0.99)) == asked("gp", 0.1) != asked("gp", 0.99)
    few = [(params, Pruned(n, n / 20)) for n, params in enumerate(points[:12], start=1)]
    other = [(params, Pruned(13 - n, n / 20)) for n, params in enumerate(points[:12], start=1)]
    first, second = (
        suggest(space, sampler="tpe", scope=(0, "x"), number=12, finished=each, running=[]) for each in (few, other)
    )
    assert first != second, "those that came further are the better ones among the stopped"
