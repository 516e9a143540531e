"""Searches with a cost: the same settings whatever the order, the Pareto front, and which setting is chosen."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.plan import Plan, PlannedRun, explain
from study.search import Search, SearchCell, SearchHistory, Space
from study.search.objectives import Traded, choice, front
from study.search.sampling import suggest
from study.spec import SpecError
from study.spec.errors import Place
from study.spec.tune import Dimension, Range
from trainables.ledger import Ledger

Make = Callable[..., Any]

HAND_MADE = {
    0: Traded(0.50, 9.0),
    1: Traded(0.48, 4.0),
    2: Traded(0.47, 5.0),  # beaten by 1
    3: Traded(0.30, 1.0),
    4: Traded(0.50, 9.0),  # equals 0
    5: Traded(0.49, 4.0),  # beats 1
    6: Traded(0.50, 12.0),  # beaten by 0
    7: Traded(0.90, math.inf),  # its cost is not known
}


def test_the_front_of_hand_made_settings() -> None:
    assert front(HAND_MADE) == [3, 5, 0]
    assert front({number: each for number, each in HAND_MADE.items() if number in (4, 6)}) == [4]
    assert front({}) == [] == front({7: HAND_MADE[7]})


@pytest.mark.parametrize(("tolerance", "number"), [(0.0, 0), (0.005, 0), (0.011, 5), (0.19, 5), (0.2, 3), (1.0, 3)])
def test_the_cheapest_setting_within_the_tolerance_is_chosen(tolerance: float, number: int) -> None:
    known = {each: setting for each, setting in HAND_MADE.items() if each != 7}
    assert choice(known, tolerance=tolerance) == number
    assert choice(HAND_MADE, tolerance=0.0) == 7 and choice({}, tolerance=tolerance) is None
    assert choice({number: Traded(score, 0.0) for number, (score, _) in known.items()}, tolerance=0.0) == 0


def seconds(run: PlannedRun) -> float:
    """More dimensions take longer; no two runs take the same."""
    noise = int(run.run_id[:6], 16) / 16**6
    return 10 + run.config.embedding_dim + noise


def with_cost(toy_class: Any, cost: Callable[[PlannedRun], float] = seconds) -> Any:
    """A results folder in memory that also has the time of each run."""

    class Timed(toy_class):  # type: ignore[misc]
        times: dict[str, float]

        def search(self, cell: SearchCell) -> Search:
            return Search(cell, records=self, values=self.known)

        def known(self, run_id: str, metric: str) -> float | None:
            return (self.values if metric == "map_at_r" else self.times).get(run_id)

        def end(self, task: Any) -> None:
            super().end(task)
            self.times[task.run.run_id] = cost(task.run)

    def make(*args: Any) -> Any:
        toy = Timed(*args)
        toy.times = {}
        return toy

    return make


@pytest.fixture
def costed(tuned_spec: Make) -> Make:
    def make(stage: str = "cost: train_seconds", **options: Any) -> str:
        text: str = tuned_spec(**{"window": 3, "trials": 16, **options})
        return text.replace("seeds: [100, 101]", f"seeds: [100, 101], {stage}")

    return make


@pytest.mark.parametrize(
    ("sampler", "trials"), [("tpe", 16), ("random", 8), ("qmc", 8), pytest.param("gp", 6, marks=pytest.mark.slow)]
)
def test_any_number_of_workers_and_any_order_give_the_same_search(
    sampler: str, trials: int, make_plan: Make, make_toy: Make, costed: Make
) -> None:
    plan: Plan = make_plan(costed(sampler=sampler, trials=trials))
    toy = with_cost(make_toy)()
    alone = toy.finish(plan)
    for workers in (2, 4):
        other = with_cost(make_toy)()
        together = other.finish(plan, workers=workers, order=workers)
        assert other.records == toy.records
        assert together.searches[0].record() == alone.searches[0].record()
    assert alone.searches[0].differences() == []


@pytest.mark.parametrize("until", range(3, 64, 12))
def test_a_killed_search_goes_on_from_what_is_recorded(
    until: int, make_plan: Make, make_toy: Make, costed: Make
) -> None:
    plan: Plan = make_plan(costed())
    undisturbed, toy = with_cost(make_toy)(), with_cost(make_toy)()
    expected = undisturbed.finish(plan)
    toy.finish(plan, workers=4, order=1, until=until)
    ended = toy.finish(plan, workers=2, order=2)
    assert toy.records == undisturbed.records
    assert ended.searches[0].record() == expected.searches[0].record()


def test_tpe_learns_from_costs(make_plan: Make, make_toy: Make, costed: Make) -> None:
    plan = make_plan(costed(window=1))
    one, other = with_cost(make_toy)(), with_cost(make_toy, lambda run: 1000 - seconds(run))()
    first, second = (toy.params(toy.finish(plan)) for toy in (one, other))
    assert first[:10] == second[:10] and first != second


def test_what_failed_is_the_worst_in_both_objectives() -> None:
    space = Space.of({key: Dimension(key, Range(distribution="uniform", min=0.0, max=1.0), Place("")) for key in "ab"})
    points = [suggest(space, sampler="random", scope=(0, "x"), number=n, finished=[], running=[]) for n in range(14)]

    def asked(instead: Traded) -> dict[str, Any]:
        scores = [instead if n == 7 else Traded(n / 20 + 0.1, float(n % 5 + 1)) for n in range(14)]
        return suggest(
            space, sampler="tpe", scope=(0, "x"), number=14, finished=list(zip(points, scores, strict=True)), running=[]
        )

    assert asked(Traded(math.nan, math.nan)) == asked(Traded(0.1, 5.0)) != asked(Traded(2.0, 0.5))
    assert asked(Traded(0.45, math.inf)) == asked(Traded(0.45, 5.0))


def test_the_plan_has_the_front_and_the_choice(make_plan: Make, make_toy: Make, costed: Make) -> None:
    toy = with_cost(make_toy, lambda run: float(run.config.embedding_dim))()
    plan = make_plan(costed("cost: train_seconds, tolerance: 0.1", sampler="random"))
    done = toy.finish(plan)
    (search,) = json.loads(json.dumps(done.record()))["searches"]
    assert (search["cost"], search["tolerance"]) == ("train_seconds", 0.1)
    settings = search["settings"]
    known = {each["number"]: Traded(each["value"], each["cost"]) for each in settings}
    assert {each["cost"] for each in settings} == {8.0, 16.0, 32.0}
    assert search["front"] == front(known) and len(search["front"]) >= 2
    best = max(known, key=lambda number: known[number].score)
    assert search["chosen"] == choice(known, tolerance=0.1) != best
    chosen = settings[search["chosen"]]
    (cell,) = [each for each in done.cells if each.method == "norm"]
    assert cell.config.embedding_dim == chosen["params"]["embedding_dim"] == 8
    sources = {key: source for key, _, source in explain(done, "norm")}
    layer = f"search, setting {chosen['number']} of 16, val_map_at_r {chosen['value']:.4f}, train_seconds 8 "
    assert sources["loss.scale"].startswith(layer)

    narrow = make_plan(costed("cost: train_seconds", sampler="random")).rebuilt(toy).searches[0]
    assert narrow.chosen is not None and narrow.chosen.number == best, "another tolerance chooses from the same search"
    plain = make_plan(costed("seed: 0")).searches[0].record()
    assert not {"cost", "tolerance", "front"} & plain.keys()


def test_costs_of_a_ledger(tmp_path: Path, make_plan: Make, costed: Make) -> None:
    ledger = Ledger.open(tmp_path / "results", create=True)
    for cost in ("train_seconds", "steps", "embedding_dim"):
        cell = make_plan(costed(f"cost: {cost}", trials=3)).searches[0].cell
        search = SearchHistory(ledger).search(cell)
        search.propose()
        for number, status in enumerate(("complete", "complete", "failed")):
            for run in search.candidates[number].runs:
                values = {} if number == 1 else {cost: 10 * (number + 1) + run.seed - 100}
                row = {"run_id": run.run_id, "attempt": "0001_01", "status": status, "val_map_at_r": 0.5}
                ledger.commit({**row, **values})
        again = SearchHistory(ledger).search(cell)
        assert [again.cost(each) for each in again.candidates] == [10.5, None, None]
        assert [again.state(each) for each in again.candidates] == ["complete", "complete", "failed"]
        assert [each.number for each in again.front] == [0] and again.chosen == again.candidates[0]
        ledger.forget(*(run.run_id for each in search.candidates for run in each.runs))


def test_what_defines_a_search_with_a_cost(make_plan: Make, costed: Make) -> None:
    stages = ("seed: 0", "cost: steps", "cost: embedding_dim", "cost: steps, tolerance: 0.01")
    ids = [make_plan(costed(stage)).searches[0].cell.cell_id for stage in stages]
    assert len(set(ids[:3])) == 3 and ids[3] == ids[1]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("cost: steps, scheduler: halving", "stages.tune.cost: does not go with stopping by one objective alone"),
        ("cost: steps, scheduler: asha", "stages.tune.cost: does not go with stopping by one objective alone"),
        ("cost: seconds", "should be 'train_seconds', 'steps' or 'embedding_dim', got \"seconds\"; did you mean"),
        ("cost: 3", "should be 'train_seconds', 'steps' or 'embedding_dim', got 3"),
        ("tolerance: 0.01", "stages.tune.tolerance: is what a cheaper setting may be worse by, and no cost is named"),
        ("cost: steps, tolerance: -1", "stages.tune.tolerance: should be greater than or equal to 0, got -1"),
    ],
)
def test_what_is_refused(stage: str, message: str, make_plan: Make, costed: Make) -> None:
    with pytest.raises(SpecError, match=rf"spec.yaml:5: .*{message}"):
        make_plan(costed(stage))


def test_cma_es_and_a_cost_that_never_differs(make_plan: Make, costed: Make) -> None:
    with pytest.raises(SpecError, match=r"stages.tune.cost: is a second objective, and 'cmaes' knows one alone"):
        make_plan(costed("cost: steps", sampler="cmaes"))
    text = costed("cost: embedding_dim")
    assert not any("same cost" in each for each in make_plan(text).warnings)
    (warning,) = [
        each for each in make_plan(text.replace(", embedding_dim: [8, 16, 32]", "")).warnings if "same cost" in each
    ]
    assert warning.startswith("all settings of 'norm (dataset=glyphs)' have the same cost")
