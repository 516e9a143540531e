"""CMA-ES: nothing of its state is recorded, and asking again comes to the same settings."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from study.search import Space, evolution
from study.search.sampling import Pruned, suggest
from study.search.translation import decoded, import_optuna, optuna_distributions, sampler_seed
from study.spec import SpecError
from study.spec.errors import Place
from study.spec.tune import Choice, Dimension, IntegerRange, Range
from trainables.errors import ConfigError

Make = Callable[..., Any]
Params = dict[str, Any]

SCOPE = (0, "x")


def space_of(**kinds: Any) -> Space:
    return Space.of({key: Dimension(key, kind, Place("")) for key, kind in kinds.items()})


SPACE = space_of(
    a=Range(distribution="loguniform", min=1e-4, max=1.0),
    b=IntegerRange(distribution="int", min=1, max=64),
    c=Choice(distribution="choice", values=["x", 2, [3, 4]]),
)


def value(params: Params) -> float:
    return -((math.log10(params["a"]) + 2) ** 2) - ((params["b"] - 20) / 64) ** 2


def asked(known: Sequence[tuple[Params, Any]], window: int) -> Params:
    """The setting after all these, of a program that has just been started."""
    evolution._replay.cache_clear()
    return again(known, window)


def again(known: Sequence[tuple[Params, Any]], window: int) -> Params:
    """The same of a program that goes on."""
    learned = known[: max(0, len(known) - window + 1)]
    running = [params for params, _ in known[len(learned) :]]
    return suggest(SPACE, sampler="cmaes", scope=SCOPE, number=len(known), finished=learned, running=running)


def searched(trials: int, window: int, score: Callable[[int, Params], Any]) -> list[tuple[Params, Any]]:
    known: list[tuple[Params, Any]] = []
    for number in range(trials):
        params = again(known, window)
        known.append((params, score(number, params)))
    return known


def plainly(trials: int, window: int) -> list[Params]:
    """Optuna in one go: its study keeps its state, and `window` trials are under way at any time."""
    optuna = import_optuna()
    study, trials_asked = optuna.create_study(direction="maximize"), []
    for number in range(trials):
        if number >= window:
            study.tell(trials_asked[number - window], value(decoded(SPACE, trials_asked[number - window].params)))
        study.sampler = optuna.samplers.CmaEsSampler(seed=sampler_seed(SCOPE, number), warn_independent_sampling=False)
        trials_asked.append(study.ask(optuna_distributions(SPACE)))
    return [decoded(SPACE, trial.params) for trial in trials_asked]


@pytest.mark.parametrize("window", [1, 4])
def test_a_replay_is_what_optuna_proposes_in_one_go(window: int) -> None:
    known = searched(30, window, lambda number, params: value(params))
    assert [params for params, _ in known] == plainly(30, window)
    for number in (0, 3, 11, 20, 29):
        assert asked(known[:number], window) == known[number][0]
        assert again(known[:number], window) == known[number][0]


def test_it_learns_after_the_first_generation() -> None:
    assert evolution.evolving(SPACE) == ["a", "b"]
    for window in (1, 4):
        first = evolution.first_adapted(SPACE, window)
        known = searched(first + 1, window, lambda number, params: value(params))
        changed = [(params, -score) for params, score in known]
        assert asked(known[:first], window) != asked(changed[:first], window)
        assert asked(known[: first - 1], window) == asked(changed[: first - 1], window)
    found = [value(params) for params, _ in searched(60, 1, lambda number, params: value(params))]
    assert sum(found[-15:]) / 15 > sum(found[:15]) / 15 / 4, "scores are negative: four times nearer to the best"


def test_failed_and_stopped_settings_are_the_worst_of_their_generation() -> None:
    known = searched(16, 1, lambda number, params: value(params))
    ways = {
        how: [(params, score if number == 4 else each) for number, (params, each) in enumerate(known)]
        for how, score in {"failed": math.nan, "stopped": Pruned(2, 9.0), "worst": -1e9, "best": 9.0}.items()
    }
    settings = {how: asked(changed, 1) for how, changed in ways.items()}
    assert settings["failed"] == settings["stopped"] == settings["worst"] != settings["best"]


def test_its_state_goes_on_with_recorded_settings() -> None:
    known = searched(20, 2, lambda number, params: value(params))
    other = [({**params, "b": 60} if number == 5 else params, score) for number, (params, score) in enumerate(known)]
    assert asked(other, 2) != asked(known, 2)
    assert again(other, 2) == asked(other, 2) and again(known, 2) == asked(known, 2)
    assert asked(other[:5], 2) == known[5][0], "and what would be proposed in its place is told"


@pytest.mark.parametrize("until", [1, 10, 17, 31, 44, 61])
def test_a_killed_search_goes_on_alike(until: int, make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    plan = make_plan(tuned_spec(sampler="cmaes", trials=18, window=3))
    undisturbed, toy = make_toy(), make_toy()
    expected = undisturbed.finish(plan, workers=2)
    toy.finish(plan, workers=4, order=1, until=until)
    evolution._replay.cache_clear()
    ended = toy.finish(plan, workers=1)
    assert toy.records == undisturbed.records
    assert ended.searches[0].chosen == expected.searches[0].chosen
    assert ended.searches[0].differences() == []
    record = toy.records[ended.searches[0].cell.cell_id][17]
    assert set(record) == {"number", "params", "runs", "sampler", "optuna", "cmaes"} and record["cmaes"]


def test_a_difference_is_told_of_the_recorded_setting(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    plan, toy = make_plan(tuned_spec(sampler="cmaes", trials=14, window=1)), make_toy()
    toy.finish(plan)
    (records,) = toy.records.values()
    records[7]["params"] = {**records[7]["params"], "loss.scale": 5.0}
    texts = plan.rebuilt(toy).searches[0].differences()
    assert "setting 7 is on record as" in texts[0] and "'loss.scale': 5.0" in texts[0]


@pytest.mark.parametrize(
    "kinds",
    [
        {"b": Choice(distribution="choice", values=[1, 2])},
        {"b": IntegerRange(distribution="int", min=1, max=3, step=5)},
    ],
)
def test_a_space_without_ranges_has_nothing_to_adapt(kinds: dict[str, Any]) -> None:
    assert evolution.evolving(space_of(**kinds)) == []


def test_what_is_refused_and_advised(make_plan: Make, tuned_spec: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tuned_spec(sampler="cmaes", window=3, trials=9)
    (warning,) = [each for each in make_plan(text).warnings if "CMA-ES" in each]
    assert "with window 3, setting 9 is the first that CMA-ES adapts, and there are 9 trials" in warning
    assert not any("CMA-ES" in each for each in make_plan(text.replace("trials: 9", "trials: 10")).warnings)
    with pytest.raises(SpecError, match=r"spec.yaml:3: methods.norm.tune: has no range that .* \(embedding_dim, loss"):
        make_plan(tuned_spec(sampler="cmaes", scale="[1, 2]"))
    monkeypatch.setitem(sys.modules, "cmaes", None)
    missing = r'needs the package cmaes, .*: pip install "dml-study\[cmaes\]"'
    with pytest.raises(SpecError, match=f"spec.yaml:5: stages.tune.sampler: 'cmaes' {missing}"):
        make_plan(text)
    with pytest.raises(ConfigError, match=missing):
        asked([], 1)
