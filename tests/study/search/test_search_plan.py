"""Tuned methods in a plan: their searches, the cells that these leave, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from study.plan import PlannedRun, due_runs, explain, fitting_searches
from study.search import Search, rehearsal
from study.spec import SpecError
from trainables.errors import ConfigError

Make = Callable[..., Any]

PAIR = """\
study: s
methods:
  norm: {loss: norm_softmax, tune: {loss.scale: [8, 16]}}
  ps: {extends: norm, synthesis: proxy_synthesis, baseline: norm, tune: {synthesis.ratio: [0.5, 1.0]}}
  anchor: {loss: proxy_anchor}
compare: {training.epochs: [1, 2]}
replicates: {seeds: 3, folds: 2}
keep: {weights: selected}
stages: {tune: {sampler: random, trials: 4, seeds: [100]}, confirm: {refit: true}}
"""


def ids(searches: Any) -> list[str]:
    return [search.cell.cell_id for search in searches]


def test_a_tuned_method_has_searches_first_and_cells_later(make_plan: Make, make_toy: Make) -> None:
    plan = make_plan(PAIR)
    assert [cell.method for cell in plan.cells] == ["untrained", "anchor", "anchor"]
    assert [search.cell.title for search in plan.searches] == [
        f"{method} (dataset=glyphs, training.epochs={epochs})" for method in ("norm", "ps") for epochs in (1, 2)
    ]
    assert len(set(ids(plan.searches))) == 4
    assert not any("baseline" in warning for warning in plan.warnings)

    toy = make_toy(lambda run: run.config.loss.scale)
    done = toy.finish(plan, workers=3)
    assert [cell.method for cell in done.cells] == ["untrained", "norm", "norm", "ps", "ps", "anchor", "anchor"]
    assert [cell.baseline for cell in done.cells] == [None, None, None, 1, 2, None, None]
    for cell in done.cells[1:5]:
        search = next(each for each in done.searches if (each.cell.method, each.cell.axes) == (cell.method, cell.axes))
        assert cell.config.loss.scale == max(each.params["loss.scale"] for each in search.candidates)
        assert (cell.config.stage, cell.config.protocol.test, cell.config.protocol.refit) == (
            "confirm",
            "selected",
            True,
        )
        assert [(each.seed, each.fold) for each in cell.replicates] == [(s, f) for s in range(3) for f in range(2)]
    assert {run.run_id for run in toy.started}.isdisjoint(done.runs)


def test_tune_runs_never_look_at_test_classes(make_plan: Make, make_toy: Make) -> None:
    toy = make_toy()
    toy.finish(make_plan(PAIR, "protocol.test=every_eval"))
    assert len(toy.started) >= 2 * 2 * 2
    for run in toy.started:
        config = run.config
        assert (config.stage, config.protocol.test, config.protocol.refit) == ("tune", "never", False)
        assert (config.seed, config.fold in (0, 1), config.keep.weights) == (100, True, "none")
        assert config.run_id() == run.run_id


def test_the_record_has_the_searches(make_plan: Make, make_toy: Make) -> None:
    plan = make_plan(PAIR)
    assert (
        "searches"
        not in make_plan(
            PAIR.replace("tune: {loss.scale: [8, 16]}", "baseline: null").replace(
                ", tune: {synthesis.ratio: [0.5, 1.0]}", ""
            )
        ).record()
    )
    done = make_toy(lambda run: float("nan") if run.config.loss.scale == 8 else 0.25).finish(plan)
    record = json.loads(json.dumps(done.record()))
    search = record["searches"][0]
    assert (search["method"], search["axes"]) == ("norm", {"dataset": "glyphs", "training.epochs": 1})
    assert (search["sampler"], search["trials"], search["seeds"], search["folds"]) == ("random", 4, [100], [0, 1])
    assert search["space"] == {"loss.scale": {"distribution": "choice", "values": [8, 16]}}
    assert [setting["number"] for setting in search["settings"]] == [0, 1, 2, 3]
    chosen = search["settings"][search["chosen"]]
    assert chosen["params"] == {"loss.scale": 16} and (chosen["value"], chosen["state"]) == (0.25, "complete")
    assert [(run["seed"], run["fold"]) for run in chosen["runs"]] == [(100, 0), (100, 1)]
    others = [setting for setting in search["settings"] if setting["params"] == {"loss.scale": 8}]
    assert others and all((each["value"], each["state"]) == (None, "failed") for each in others)


def test_explain_says_that_a_search_chose(make_plan: Make, make_toy: Make) -> None:
    done = make_toy(lambda run: 0.3).finish(make_plan(PAIR))
    values = {key: (value, source) for key, value, source in explain(done, "ps (dataset=glyphs, training.epochs=1)")}
    value, source = values["synthesis.ratio"]
    assert value in (0.5, 1.0)
    assert source == "search, setting 0 of 4, val_map_at_r 0.3000 (spec.yaml:4)"


@pytest.mark.parametrize(
    ("metric", "values", "number"),
    [("map_at_r", [0.2, 0.4, 0.4], 1), ("label_distance_at_10", [30.0, 20.0, 20.0], 1), ("map_at_r", [0.0] * 3, 0)],
)
def test_the_best_setting_is_chosen_the_first_of_equals(
    metric: str, values: list[float], number: int, make_plan: Make, make_toy: Make, tuned_spec: Make
) -> None:
    toy = make_toy()
    cell = make_plan(tuned_spec(trials=3, window=3)).searches[0].cell
    protocol = cell.protocol.model_copy(update={"select_by": metric})
    search: Search = toy.search(replace(cell, protocol=protocol))
    search.propose()
    for value, candidate in zip(values, search.candidates, strict=True):
        assert search.chosen is None
        toy.values.update({run.run_id: value for run in candidate.runs})
    assert search.chosen is not None and search.chosen.number == number
    assert search.value(search.chosen) == values[number]


def test_a_search_without_any_value_chooses_nothing(make_plan: Make, make_toy: Make, tuned_spec: Make) -> None:
    done = make_toy(lambda run: float("nan")).finish(make_plan(tuned_spec(trials=2)))
    assert done.searches[0].over and done.searches[0].chosen is None and done.cells == ()
    assert any("no setting of 'norm (dataset=glyphs)' could be trained" in warning for warning in done.warnings)


def test_values_that_cannot_stand_together_are_failed_settings(make_plan: Make, make_toy: Make) -> None:
    text = (
        "study: s\nmethods:\n"
        "  a: {sampler: {name: balanced, images_per_class: 4}, tune: {training.batch_size: [30, 32]}}\n"
        "stages: {tune: {sampler: qmc, trials: 6}}\n"
    )
    toy = make_toy(lambda run: 0.1)
    (search,) = toy.finish(make_plan(text)).searches
    wrong = [candidate for candidate in search.candidates if candidate.params["training.batch_size"] == 30]
    assert wrong and all(not each.runs and "no multiple of" in each.error for each in wrong)
    assert search.chosen is not None and search.chosen.params == {"training.batch_size": 32}
    assert search.record()["settings"][wrong[0].number]["error"] == wrong[0].error


def test_what_defines_a_search(make_plan: Make, tuned_spec: Make) -> None:
    (base,) = ids(make_plan(tuned_spec()).searches)
    same = [
        tuned_spec(trials=99),
        tuned_spec().replace(
            "tune: {loss.scale: {distribution: loguniform, min: 1, max: 64}, embedding_dim: [8, 16, 32]}",
            "tune: {embedding_dim: [8, 16, 32], loss.scale: {distribution: loguniform, min: 1, max: 64}}",
        ),
        tuned_spec().replace("replicates: {seeds: 2", "replicates: {seeds: 5"),
        tuned_spec() + "settings: {loss.scale: 7, protocol.refit: true, keep.weights: selected}\n",
        tuned_spec().replace("  norm:", "  other:"),
    ]
    assert [ids(make_plan(text).searches) for text in same] == [[base]] * len(same)
    different = [
        tuned_spec(sampler="random"),
        tuned_spec(window=5),
        tuned_spec(scale="[1, 2]"),
        tuned_spec().replace("[100, 101]", "[100]"),
        tuned_spec().replace("seeds: [100, 101]", "seeds: [100, 101], seed: 1"),
        tuned_spec().replace("seeds: [100, 101]", "seeds: [100, 101], scheduler: halving"),
        tuned_spec().replace("seeds: [100, 101]", "seeds: [100, 101], scheduler: asha"),
        tuned_spec().replace("folds: 2", "folds: [0]"),
        tuned_spec() + "settings: {optimizer.lr: 0.5}\n",
        tuned_spec() + "protocol: {select_by: recall_at_1}\n",
        tuned_spec() + "resources: {gpu: 1}\n",
    ]
    assert len({base, *(ids(make_plan(text).searches)[0] for text in different)}) == 1 + len(different)


def test_a_cell_without_the_tuned_key_needs_no_search(make_plan: Make) -> None:
    plan = make_plan(
        "study: s\nmethods: {a: {tune: {loss.margin: [0.1, 0.2]}}}\ncompare: {loss: [norm_softmax, proxy_anchor]}\n"
    )
    assert [cell.axes["loss"] for cell in plan.cells if cell.method == "a"] == ["norm_softmax"]
    assert [search.cell.axes["loss"] for search in plan.searches] == ["proxy_anchor"]
    assert (plan.searches[0].trials, plan.searches[0].cell.stage.seeds) == (50, (100,))  # without stages.tune


STUDENT = """\
study: s
methods:
  teacher: {loss: proxy_anchor, tune: {loss.scale: [8, 16]}}
  student: {strategy: {name: transfer, teacher: {method: teacher}}}
  grandchild: {strategy: {name: transfer, teacher: {method: student}}}
stages: {tune: {sampler: random, trials: 2}}
"""


def test_students_wait_for_a_teacher_that_is_searched(make_plan: Make, make_toy: Make) -> None:
    plan = make_plan(STUDENT)
    assert [cell.method for cell in plan.cells] == []
    done = make_toy().finish(plan)
    assert [cell.method for cell in done.cells][-3:] == ["teacher", "student", "grandchild"]


def test_only_some_searches(make_plan: Make) -> None:
    plan = make_plan(PAIR)
    assert [each.cell.method for each in fitting_searches(plan, ["method=ps", "training.epochs=2"])] == ["ps"]
    assert fitting_searches(plan, ["method=anchor"]) == []
    assert due_runs(plan, {}, only=["method=ps"]) == []
    with pytest.raises(ConfigError, match="fits no cell"):
        due_runs(plan, {}, only=["method=pss"])


def test_a_rehearsal_has_the_cells_at_the_first_setting(make_plan: Make) -> None:
    plan = make_plan(PAIR, history=rehearsal())
    assert [cell.method for cell in plan.cells] == ["untrained", "norm", "norm", "ps", "ps", "anchor", "anchor"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("trials: 4", "cost: steps, prune_replicates: {p: 0.4}"), "spec.yaml:9: .* judges by one objective alone"),
        (
            ("loss.scale: [8, 16]", "protocol.select_by: [map_at_r]"),
            "spec.yaml:3: methods.norm.tune.protocol.select_by: ",
        ),
        (
            ("stages:", "rules: [{when: {method: norm}, set: {loss.scale: 4}}]\nstages:"),
            r"spec.yaml:3: methods.norm.tune.loss.scale: is set by rule 1 \(spec.yaml:9\) in this cell",
        ),
        (("seeds: [100]", "seeds: [2, 100]"), r"spec.yaml:9: stages.tune.seeds: has \[2\] in common"),
        (("seeds: [100]}", "seeds: 1}"), r"spec.yaml:9: stages.tune.seeds: has \[0\] in common"),
        (
            ("keep: {weights: selected}", "protocol: {selection: last}"),
            "spec.yaml:3: methods.norm.tune: .* best_validation",
        ),
        (
            (
                "{loss: proxy_anchor}",
                "{strategy: {name: transfer, teacher: {method: norm}}, tune: {embedding_dim: [8, 9]}}",
            ),
            "spec.yaml:5: methods.anchor.tune: a tuned method cannot learn from 'norm'",
        ),
    ],
)
def test_what_is_refused(change: tuple[str, str], message: str, make_plan: Make) -> None:
    with pytest.raises(SpecError, match=message):
        make_plan(PAIR.replace(*change))


def test_a_rule_for_other_methods_leaves_a_tuned_key_alone(make_plan: Make) -> None:
    rule = "rules: [{when: {method: anchor}, set: {loss.scale: 4}}]"
    assert make_plan(PAIR.replace("stages:", f"{rule}\nstages:")).searches


def test_what_the_chosen_settings_could_not_report_is_told_before_the_search(make_plan: Make) -> None:
    readout = "protocol: {readout: [mean_9, concat]}\nstages:"
    with pytest.raises(SpecError, match="'mean_9' does not fit 2 folds of embedding_dim 64; write 'mean_64'"):
        make_plan(PAIR.replace("stages:", readout))


def test_seeds_of_a_search_that_nobody_wrote_are_disjoint_too(make_plan: Make) -> None:
    with pytest.raises(SpecError, match=r"has \[100\] in common with the seeds of the tables"):
        make_plan("study: s\nmethods: {a: {tune: {loss.scale: [1, 2]}}}\nreplicates: {seeds: [100]}\n")


def test_a_tuned_key_is_not_overridden(make_plan: Make) -> None:
    with pytest.raises(SpecError, match=r"loss.scale: is tuned by method 'norm' .*narrow its space: --set"):
        make_plan(PAIR, "loss.scale=3")


def test_values_of_a_ledger(tmp_path: Any, make_plan: Make, tuned_spec: Make) -> None:
    """Of complete runs in a column or in `extra`; failed runs and those that measured no such thing have none."""
    import math

    from study.search import SearchHistory
    from trainables.ledger import Ledger

    ledger = Ledger.open(tmp_path / "results", create=True)
    search = SearchHistory(ledger).search(make_plan(tuned_spec(trials=3, window=3)).searches[0].cell)
    search.propose()

    def commit(run: PlannedRun, **row: Any) -> None:
        ledger.commit({"run_id": run.run_id, "attempt": "0001_01", "status": "complete", **row})

    for run, value in zip(search.candidates[0].runs, (0.1, 0.2, 0.3, 0.4), strict=True):
        commit(run, val_map_at_r=value)
    for run in search.candidates[1].runs[:3]:
        commit(run, extra={"val_map_at_r": 0.5})
    commit(search.candidates[1].runs[3], status="failed")
    history = SearchHistory(ledger)
    again = history.search(search.cell)
    assert [again.state(each) for each in again.candidates] == ["complete", "failed", "unfinished"]
    assert again.value(again.candidates[0]) == pytest.approx(0.25)
    for run in again.candidates[2].runs:
        commit(run, val_recall_at_1=0.5)
    assert again.state(again.candidates[2]) == "unfinished"
    history.look([run.run_id for run in again.candidates[2].runs])
    assert math.isnan(again.score(again.candidates[2]) or 0)
