"""The promise: settings are a function of the spec and of values, never of timing, kills or the number of workers."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from study.plan import Plan, PlannedRun
from study.search import Space
from study.search.sampling import SAMPLERS, suggest, worst
from study.spec.errors import Place
from study.spec.tune import Choice, Dimension, IntegerRange, Range
from trainables.errors import ConfigError, LedgerError

Make = Callable[..., Any]

EVERY_KIND = {
    "a": Choice(distribution="choice", values=["x", 2, [3, 4]]),
    "b": Range(distribution="uniform", min=-1.0, max=1.0),
    "c": Range(distribution="uniform", min=0.0, max=1.0, step=0.25),
    "d": Range(distribution="loguniform", min=1e-5, max=1e-1),
    "e": IntegerRange(distribution="int", min=2, max=10, step=4),
    "f": IntegerRange(distribution="logint", min=1, max=1000),
}


def space_of(kinds: dict[str, Any]) -> Space:
    return Space.of({key: Dimension(key, kind, Place("")) for key, kind in kinds.items()})


@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 16), ("random", 12), ("qmc", 12), ("gp", 12), ("cmaes", 20)])
def test_any_number_of_workers_and_any_order_give_the_same_search(
    sampler: str, trials: int, make_plan: Make, make_toy: Make, tuned_spec: Make
) -> None:
    plan: Plan = make_plan(tuned_spec(sampler=sampler, trials=trials, window=3))
    toy = make_toy()
    alone = toy.finish(plan)
    assert len(toy.params(alone)) == trials
    assert len({str(params) for params in toy.params(alone)}) > trials // 2
    for workers in (2, 7) if sampler != "gp" else (7,):
        other = make_toy()
        together = other.finish(plan, workers=workers, order=workers)
        assert other.params(together) == toy.params(alone)
        assert together.searches[0].chosen == alone.searches[0].chosen
    assert alone.searches[0].chosen is not None


def test_a_sampler_learns_from_values(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    """After its random start, TPE depends on what it was told; random search never does."""

    def upside_down(run: PlannedRun) -> float:
        return run.config.loss.scale / 64  # type: ignore[attr-defined, no-any-return]

    for sampler, same in (("tpe", False), ("random", True)):
        plan = make_plan(tuned_spec(sampler=sampler, trials=14, window=1))
        first, second = make_toy(), make_toy(upside_down)
        found = [toy.params(toy.finish(plan)) for toy in (first, second)]
        assert found[0][:10] == found[1][:10]
        assert (found[0] == found[1]) is same


def test_no_setting_starts_before_those_that_it_learns_from(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    plan = make_plan(tuned_spec(trials=9, window=3))
    toy = make_toy()
    board = plan.rebuilt(toy).searches[0]
    assert [candidate.number for candidate in board.propose()] == [0, 1, 2]
    second = board.candidates[1]
    for run in second.runs:
        toy.values[run.run_id] = 0.5
    assert board.finished(second) and board.propose() == []  # setting 3 waits for setting 0
    *most, last = board.candidates[0].runs
    toy.values.update({run.run_id: 0.5 for run in most})
    assert board.propose() == []  # setting 0 is finished when all its runs are
    toy.values[last.run_id] = 0.5
    assert [candidate.number for candidate in board.propose()] == [3, 4]


@pytest.mark.parametrize("until", [1, 9, 23, 40])
def test_a_search_goes_on_from_what_is_recorded(until: int, make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    plan = make_plan(tuned_spec(trials=13))
    undisturbed, toy = make_toy(), make_toy()
    expected = undisturbed.finish(plan, workers=3)
    toy.finish(plan, workers=4, order=1, until=until)
    assert len(toy.values) == until
    ended = toy.finish(plan, workers=2, order=2)
    assert toy.params(ended) == undisturbed.params(expected)
    assert toy.records == undisturbed.records
    again = [run.run_id for run in toy.started]
    assert len(again) - len(set(again)) <= 4  # those under way when it ended


def test_lost_records_are_proposed_again_alike(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    plan = make_plan(tuned_spec(trials=13))
    toy = make_toy()
    before = toy.params(toy.finish(plan))
    (records,) = toy.records.values()
    for number in (2, 11, 12):
        del records[number]
    trained = len(toy.started)
    assert toy.params(toy.finish(plan)) == before
    assert len(toy.started) == trained


def test_more_trials_extend_a_search(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    short, long = (make_plan(tuned_spec(trials=trials)) for trials in (11, 14))
    toy, direct = make_toy(), make_toy()
    first = toy.params(toy.finish(short))
    trained = len(toy.started)
    extended = toy.finish(long, workers=3)
    assert toy.params(extended)[:11] == first
    assert toy.params(extended) == direct.params(direct.finish(long))
    assert len(toy.started) == trained + 3 * 4
    assert len(toy.params(short.rebuilt(toy))) == 11  # and fewer trials look at fewer settings


def test_a_recorded_setting_counts_and_a_difference_is_told(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    plan = make_plan(tuned_spec(trials=6))
    toy = make_toy()
    done = toy.finish(plan)
    assert done.searches[0].differences() == []
    (records,) = toy.records.values()
    records[3]["params"] = {"loss.scale": 5.0, "embedding_dim": 8}
    search = plan.rebuilt(toy).searches[0]
    assert search.candidates[3].params == {"loss.scale": 5.0, "embedding_dim": 8}
    (text,) = [text for text in search.differences() if "setting 3 is on record as" in text]
    assert text.startswith("norm (dataset=glyphs): setting 3 is on record as {'loss.scale': 5.0")
    assert "the recorded one counts" in text


def test_a_failed_setting_counts_as_the_worst_finite_one(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    assert worst([0.3, math.nan, 0.1, math.inf]) == 0.1 and worst([math.nan]) == 0.0
    space = space_of(EVERY_KIND)
    points = [suggest(space, sampler="random", scope=(0, "x"), number=n, finished=[], running=[]) for n in range(14)]
    known = [(params, n / 20) for n, params in enumerate(points[:12])]
    diverged = [(params, math.nan if n == 7 else score) for n, (params, score) in enumerate(known)]
    as_worst = [(params, 0.0 if n == 7 else score) for n, (params, score) in enumerate(known)]

    def asked(finished: list[tuple[dict[str, Any], float]]) -> dict[str, Any]:
        return suggest(space, sampler="tpe", scope=(0, "x"), number=14, finished=finished, running=points[12:])

    assert asked(diverged) == asked(as_worst)

    def nan_at_large_scales(run: PlannedRun) -> float:
        scale: float = run.config.loss.scale  # type: ignore[attr-defined]
        return math.nan if scale > 20 and run.fold == 1 else scale

    plan = make_plan(tuned_spec(trials=12, window=2))
    ended = make_toy(nan_at_large_scales).finish(plan, workers=2)
    (search,) = ended.searches
    states = {search.state(candidate) for candidate in search.candidates}
    assert states == {"complete", "failed"}, "a setting fails with any of its runs"
    assert search.chosen is not None and search.chosen.params["loss.scale"] <= 20


@pytest.mark.parametrize("sampler", [*SAMPLERS])
def test_every_distribution_is_drawn_within_its_bounds(sampler: str) -> None:
    space = space_of(EVERY_KIND)
    finished: list[tuple[dict[str, Any], float]] = []
    for number in range(12):
        params = suggest(space, sampler=sampler, scope=(0, "x"), number=number, finished=finished, running=[])
        finished.append((params, -abs(params["b"])))
    drawn = [params for params, _ in finished]
    assert all(tuple(params) == ("a", "b", "c", "d", "e", "f") for params in drawn)
    assert all(params["a"] in ["x", 2, [3, 4]] for params in drawn)
    assert all(-1 <= params["b"] <= 1 and 1e-5 <= params["d"] <= 1e-1 for params in drawn)
    assert all(params["c"] in (0, 0.25, 0.5, 0.75, 1) and params["e"] in (2, 6, 10) for params in drawn)
    assert all(type(params["f"]) is int and 1 <= params["f"] <= 1000 for params in drawn)
    assert len({params["b"] for params in drawn}) == 12
    if sampler == "qmc":
        assert len({round(params["b"] * 4 - 0.5) for params in drawn}) >= 7  # evenly spread


def test_a_sampler_that_cannot_be_asked() -> None:
    with pytest.raises(ConfigError, match="sampler 'nsga' is not available; take one of tpe, gp, random, qmc"):
        suggest(space_of(EVERY_KIND), sampler="nsga", scope=(0, "x"), number=0, finished=[], running=[])


def test_a_setting_that_comes_again_is_not_trained_again(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    plan = make_plan(tuned_spec(sampler="random", trials=20, scale="[8, 16]"))
    assert any("6 settings, fewer than its 20 trials" in warning for warning in plan.warnings)
    toy = make_toy()
    (search,) = toy.finish(plan, workers=5).searches
    assert search.done == 20 and search.distinct <= 6
    assert len(toy.started) == len({run.run_id for run in toy.started}) == search.distinct * 4


@pytest.mark.parametrize("params", [{}, {"loss.scale": 3.0}, {"loss.scale": 3.0, "embedding_dim": 7}])
def test_a_record_that_is_no_setting_is_refused_with_its_place(
    params: dict[str, Any], make_plan: Make, make_toy: Make, tuned_spec: Make
) -> None:
    toy, plan = make_toy(), make_plan(tuned_spec(trials=3))
    toy.finish(plan, until=2)
    (cell_id,) = toy.records
    toy.records[cell_id][0] = {"params": params, "runs": []}
    with pytest.raises(LedgerError, match=f"search/{cell_id}/0.json"):
        plan.rebuilt(toy)


def test_a_setting_whose_record_cannot_be_written_is_proposed_again(
    make_plan: Make, make_toy: Make, tuned_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make_toy()
    plan = make_plan(tuned_spec(trials=2)).rebuilt(toy)
    (search,) = plan.searches
    with monkeypatch.context() as patch, pytest.raises(LedgerError):
        patch.setattr(toy, "put", refuse)
        search.propose()
    assert [candidate.number for candidate in search.propose()] == [0, 1]


def refuse(cell_id: str, number: int, record: dict[str, Any]) -> None:
    raise LedgerError("the disk is full")
