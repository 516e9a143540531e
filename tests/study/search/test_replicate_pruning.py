"""Settings that skip replicates: a function of the spec and of values, never of timing, kills or workers."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from study.cli.views.searches import search_states
from study.plan import Plan, PlannedRun
from study.search import Board
from study.search.records import LedgerRecords, stop_key
from study.search.replicate_rule import ReplicateRule
from study.spec.errors import SpecError
from trainables.errors import LedgerError
from trainables.ledger import Commit, Ledger

Make = Callable[..., Any]


@pytest.fixture
def pruning_spec(tuned_spec: Make) -> Make:
    def make(pruning: str = "{p: 0.1}", **options: Any) -> str:
        text: str = tuned_spec(**{"window": 2, "trials": 16, **options})
        return text.replace("seeds: [100, 101]", f"seeds: [100, 101, 102, 103], prune_replicates: {pruning}")

    return make


def recorded(toy: Any) -> list[dict[str, Any]]:
    (records,) = toy.records.values()
    return [records[number] for number in sorted(records)]


def optuna_prunes(scores: list[float], rivals: list[float], p: float) -> bool:
    """What Optuna's own pruner says after these replicates."""
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.WilcoxonPruner(p_threshold=p))
    values = dict(enumerate(rivals))
    study.add_trial(optuna.trial.create_trial(value=sum(rivals) / len(rivals), intermediate_values=values))
    trial = study.ask()
    for step, score in enumerate(scores):
        trial.report(score, step)
    return trial.should_prune()


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("p", [0.2, 0.1, 0.04])
def test_the_test_is_that_of_optunas_pruner(p: float) -> None:
    rule, seen = ReplicateRule(p), set()
    rivals = [0.50, 0.52, 0.48, 0.51, 0.49, 0.50, 0.53, 0.47]
    for shift in (0.0, 0.005, 0.02, 0.1, -0.1):
        scores = [rival - shift * (1 + 0.3 * math.sin(3 * index)) for index, rival in enumerate(rivals)]
        scores[1] += 0.01
        for count in range(rule.first, 9):
            expected = optuna_prunes(scores[:count], rivals, p)
            assert rule.worse(scores[:count], rivals) == expected
            seen.add(expected)
    assert seen == {True, False}


def test_a_setting_goes_on_replicate_by_replicate() -> None:
    rule, rivals = ReplicateRule(0.1), [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    worse = [score - 0.2 - index / 100 for index, score in enumerate(rivals)]
    assert (rule.first, ReplicateRule(0.05).first, ReplicateRule(0.3).first) == (4, 5, 2)
    assert rule.trained([None] * 8, rivals) == 4  # these train side by side: no test could end them
    assert rule.trained([*worse[:3], None, *worse[4:]], rivals) == 4
    assert rule.trained(worse, rivals) == 4
    assert rule.trained([0.7, *worse[1:]], rivals) == 5  # p is 0.125 after 4 pairs
    assert rule.trained([*worse[:1], math.nan, *worse[2:]], rivals) == 4
    assert rule.trained(rivals[::-1], rivals) == 8
    assert rule.trained(worse, []) == 8
    assert ReplicateRule(0.1, batch=3).trained([0.7, *worse[1:7], None], rivals) == 7
    assert ReplicateRule(0.1, batch=3).trained([0.9, *worse[1:4], *[None] * 4], rivals) == 7


@pytest.mark.parametrize("pruning", ["{p: 0.1}", "{p: 0.05, batch: 2}"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_any_number_of_workers_and_any_order_train_the_same(
    sampler: str, pruning: str, make_plan: Make, make_toy: Make, pruning_spec: Make
) -> None:
    plan: Plan = make_plan(pruning_spec(pruning, sampler=sampler))
    toy = make_toy()
    (search,) = toy.finish(plan).searches
    assert (
        search.over
        and search.pruned >= 3
        and search.replicates.skipped(search.candidates) == 16 * 8 - len(toy.values) >= 8
    )
    assert search.state(search.chosen) == "complete"
    for workers in (3, 9):
        other = make_toy()
        (together,) = other.finish(plan, workers=workers, order=workers).searches
        assert other.records == toy.records and other.values == toy.values
        assert together.record() == search.record()


@pytest.mark.parametrize("until", [3, 22, 41, 70])
def test_a_search_goes_on_after_a_kill(until: int, make_plan: Make, make_toy: Make, pruning_spec: Make) -> None:
    plan: Plan = make_plan(pruning_spec())
    undisturbed, toy = make_toy(), make_toy()
    undisturbed.finish(plan)
    toy.finish(plan, workers=4, order=1, until=until)
    (search,) = toy.finish(plan, workers=2, order=2).searches
    assert toy.records == undisturbed.records and toy.values == undisturbed.values
    assert not search.differences() and search.runs_left == 0


def test_whom_a_setting_is_compared_with_and_what_comes_of_it(
    make_plan: Make, make_toy: Make, pruning_spec: Make
) -> None:
    toy = make_toy()
    (search,) = toy.finish(make_plan(pruning_spec(window=3)), workers=5, order=4).searches
    for candidate, record in zip(search.candidates, recorded(toy), strict=True):
        known = [each for each in search.candidates[: max(0, candidate.number - 2)] if search.value(each) is not None]
        best = max(known, key=search.score, default=None)
        assert record["incumbent"] == (None if best is None else best.number)
        told = search.record()["settings"][candidate.number]
        started = [run for run in candidate.runs if run.run_id in toy.values]
        assert told["replicates"] == len(started) and search.open_runs(candidate) == []
        if search.state(candidate) == "pruned":
            assert 4 <= len(started) < 8 and search.value(candidate) is None
            assert max(toy.value(run) for run in started) < search.value(search.chosen) + 0.02
            assert toy.ended[candidate.number] == len(started)
        else:
            assert len(started) == 8 and candidate.number not in toy.ended
    assert search.pruned == len(toy.ended) > 0
    assert json.loads(json.dumps(search.record())) == search.record()


def test_a_failed_replicate_ends_its_setting(make_plan: Make, make_toy: Make, pruning_spec: Make) -> None:
    """It cannot be chosen any more, and is no measure for others."""

    def second_fails(run: PlannedRun) -> float:
        seen.append(run.run_id)
        return math.nan if run.seed == 100 and run.fold == 1 and len(seen) < 5 else 0.5

    seen: list[str] = []
    toy = make_toy(second_fails)
    plan: Plan = make_plan(pruning_spec(sampler="random", trials=3, window=1))
    board = Board(plan.rebuilt(toy).searches)  # type: ignore[misc]
    assert board.runs_left == 24
    while (task := board.next()) is not None:
        toy.end(task)
        board.ended(task.run.run_id)
    (search,) = plan.rebuilt(toy).searches  # type: ignore[misc]
    states = [search.state(candidate) for candidate in search.candidates]
    assert states == ["failed", "complete", "complete"] and len(seen) == 4 + 8 + 8
    assert [record["incumbent"] for record in recorded(toy)] == [None, None, 1]


@pytest.mark.parametrize(
    ("pruning", "told"),
    [
        (
            "{p: 0.003}",
            r"takes 9 of them to get below p = 0\.003 .* a setting has 8 \(4 seeds, 2 folds\); take at least 10",
        ),
        ("{p: 0.7}", r"stages\.tune\.prune_replicates\.p"),
        ("{batch: 0}", r"stages\.tune\.prune_replicates\.batch"),
        ("{q: 0.1}", r"stages\.tune\.prune_replicates\.q: unknown key 'q'; known: batch, p"),
        ("wilcoxon", r"stages\.tune\.prune_replicates"),
    ],
)
def test_what_can_never_help_is_refused(pruning: str, told: str, make_plan: Make, pruning_spec: Make) -> None:
    with pytest.raises(SpecError, match=f"(?s){told}"):
        make_plan(pruning_spec(pruning))


def test_eight_replicates_are_enough_for_a_p_of_0_005(make_plan: Make, pruning_spec: Make) -> None:
    assert make_plan(pruning_spec("{p: 0.01}")).searches[0].replicates.rule.first == 7
    warnings = make_plan(pruning_spec(trials=2)).warnings
    assert any("no setting of 'norm" in text and "can skip replicates" in text for text in warnings)


def test_other_pruning_is_another_search(make_plan: Make, pruning_spec: Make) -> None:
    texts = [pruning_spec(), pruning_spec("{p: 0.05}"), pruning_spec("{batch: 2}"), pruning_spec("null")]
    ids = [make_plan(text).searches[0].cell.cell_id for text in texts]
    assert len(set(ids)) == 4
    assert make_plan(pruning_spec("{}")).searches[0].cell.cell_id == ids[0]


def test_names_alone_tell_which_replicates_a_setting_has(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "results", create=True)
    records = LedgerRecords(ledger)
    runs = [{"seed": seed, "fold": 0, "run_id": f"run{seed}"} for seed in range(6)]
    for number, incumbent in ((0, None), (1, 0), (2, 0)):
        records.put("cell", number, {"params": {}, "runs": runs, "incumbent": incumbent})
    for number in (1, 2):
        records.put_ended("cell", number, replicates=4)
    records.put_order("cell", "12", epoch=3)
    assert set(records.load("cell")) == {0, 1, 2} and records.orders("cell") == {"12": 3}
    assert records.begun("cell") == {0: runs, 1: runs[:4], 2: runs[:4]}
    search = {"method": "norm", "axes": {}, "cell_id": "cell", "seeds": [*range(6)], "folds": [0], "trials": 4}
    commits = {run["run_id"]: Commit(run["run_id"], "0001_01", "complete") for run in runs[:4]}
    line = search_states([{**search, "chosen": None}], ledger, commits)
    assert line == ["search of norm: 2/4 settings (2 pruned)"]
    records.reopen("cell", [1])
    assert records.begun("cell") == {0: runs, 1: runs, 2: runs[:4]}
    records.put("cell", 1, {"params": {}, "runs": runs, "incumbent": 1})
    with pytest.raises(LedgerError, match=r"1\.json is damaged \(it is compared with 1, which is no earlier setting\)"):
        records.load("cell")
    ledger.put(stop_key("cell", "13"), b'{"epoch": null}')
    with pytest.raises(LedgerError, match=r"13\.stop\.json is damaged"):
        records.orders("cell")
    records.forget("cell")
    assert records.load("cell") == {} and records.orders("cell") == {}


def test_settings_wait_while_the_one_that_they_are_compared_with_trains_again(
    make_plan: Make, make_toy: Make, pruning_spec: Make
) -> None:
    """Its runs were invalidated, say: nothing else is trained, and nothing is decided without it."""
    plan: Plan = make_plan(pruning_spec())
    toy = make_toy()
    (search,) = toy.finish(plan).searches
    before, values = search.record(), dict(toy.values)
    incumbent = search.candidates[max(record["incumbent"] or 0 for record in recorded(toy))]
    for run in incumbent.runs:
        del toy.values[run.run_id]
    (waiting,) = plan.rebuilt(toy).searches  # type: ignore[misc]
    assert not waiting.over and waiting.best != incumbent
    toy.started.clear()
    (again,) = toy.finish(plan, workers=4, order=3).searches
    assert {run.run_id for run in toy.started} == {run.run_id for run in incumbent.runs}
    assert toy.values == values and again.record() == before
