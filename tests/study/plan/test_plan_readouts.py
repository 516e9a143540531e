"""Readings of fold models: which cells and derived runs `protocol.readout` plans, and what it refuses."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from study.plan import Cell, Plan, blocked_runs, due_runs, one_cell
from study.spec.errors import SpecError
from study.wording import run_titles

MakePlan = Callable[..., Plan]

SPEC = """\
study: s
methods:
  plain: {loss: norm_softmax}
  anchor: {loss: proxy_anchor, baseline: plain}
compare: {dataset: [glyphs]}
settings: {embedding_dim: 32}
replicates: {seeds: 2, folds: 4}
protocol: {readout: [mean_32, concat_128]}
"""


@dataclass(frozen=True)
class Commit:
    status: str


def cells(plan: Plan, method: str) -> dict[str, Cell]:
    return {cell.axes["readout"]: cell for cell in plan.cells if cell.method == method}


def test_each_reading_is_a_cell_and_the_joined_one_has_a_derived_run_for_each_seed(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    assert plan.axes == ("dataset", "readout")
    for method in ("plain", "anchor"):
        mean, concat = cells(plan, method)["mean_32"], cells(plan, method)["concat_128"]
        assert len(mean.replicates) == 8
        assert [(each.seed, each.fold) for each in concat.replicates] == [(0, None), (1, None)]
        for each in concat.replicates:
            members = tuple(other.run_id for other in mean.replicates if other.seed == each.seed)
            planned = plan.runs[each.run_id]
            assert each.sources == planned.sources == planned.config.strategy.sources == members
            assert planned.config.run_id() == each.run_id
            assert planned.config.embedding_dim == 128 and planned.config.seed == each.seed
            assert planned.config.loss.name == mean.config.loss.name  # tables and rows say whose models they are
            assert all(plan.runs[run_id].config.keep.embeddings == "test" for run_id in members)
    assert len(plan.runs) == 2 * (8 + 2) + 2  # and the untrained network of each seed


def test_the_fold_models_are_the_runs_of_a_study_without_readings(make_plan: MakePlan) -> None:
    alone = make_plan(SPEC.replace("protocol: {readout: [mean_32, concat_128]}", ""))
    read = make_plan(SPEC)
    assert set(alone.runs) == {run_id for run_id, run in read.runs.items() if not run.sources}
    assert alone.axes == ("dataset",)


def test_cells_are_compared_with_the_same_reading_of_their_baseline(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    for reading, cell in cells(plan, "anchor").items():
        assert cell.baseline is not None
        assert plan.cells[cell.baseline] is cells(plan, "plain")[reading]


def test_a_derived_run_is_due_and_blocked_with_its_models(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    derived = cells(plan, "plain")["concat_128"].replicates[0]
    complete = {run_id: Commit("complete") for run_id in plan.runs if run_id != derived.run_id}
    assert [run.run_id for run in due_runs(plan, complete)] == [derived.run_id]
    gone = {run.run_id for run in due_runs(plan, complete, has_kept=lambda run: run.run_id != derived.sources[2])}
    assert gone == {derived.run_id, derived.sources[2]}
    failed = {**complete, derived.sources[3]: Commit("failed")}
    assert due_runs(plan, failed) == []
    assert blocked_runs(plan, failed) == {derived.run_id}


def test_a_derived_run_is_named_by_its_models_alone(make_plan: MakePlan) -> None:
    first = cells(make_plan(SPEC), "plain")["concat_128"].replicates
    renamed = cells(make_plan(SPEC.replace("[mean_32, concat_128]", "[mean, concat]")), "plain")["concat"].replicates
    other = cells(make_plan(SPEC.replace("folds: 4", "folds: [3, 1, 2, 0]")), "plain")["concat_128"].replicates
    changed = cells(make_plan(SPEC + "rules: [{when: {loss: norm_softmax}, set: {optimizer.lr: 0.1}}]\n"), "plain")
    assert first == renamed
    assert {each.run_id for each in first}.isdisjoint(each.run_id for each in changed["concat_128"].replicates)
    assert {frozenset(each.sources) for each in first} == {frozenset(each.sources) for each in other}


def test_titles_name_the_reading_and_no_fold(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    derived = cells(plan, "plain")["concat_128"].replicates[1]
    assert run_titles(plan.record()["cells"])[derived.run_id] == "plain, readout concat_128, seed 1"
    assert plan.describe(derived.run_id).endswith("seed 1, all folds")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("concat_128", "concat_512", "'concat_512' does not fit 4 folds of embedding_dim 32; write 'concat_128'"),
        ("mean_32", "mean_128", "'mean_128' does not fit 4 folds of embedding_dim 32; write 'mean_32'"),
        ("folds: 4", "folds: 1", "write `replicates: {folds: 4}`"),
        ("mean_32, concat_128]", "mean, concat], selection: last", "trains one model"),
        ("mean_32, concat_128]", "mean, concat], test: never", "protocol.test is 'never'"),
        ("mean_32", "median", "readout"),
        ("mean_32, concat_128", "concat_128", "write readout: [mean, concat_128]"),
        ("methods:", "methods:\n  joined: {strategy: fold_ensemble}", "protocol: {readout: [mean, concat]}"),
    ],
)
def test_what_cannot_be_read_out_is_refused_with_what_can(
    make_plan: MakePlan, old: str, new: str, expected: str
) -> None:
    with pytest.raises(SpecError) as error:
        make_plan(SPEC.replace(old, new) if "concat_128" in old or "mean" in old else _plain(SPEC).replace(old, new))
    assert expected in str(error.value)


def _plain(spec: str) -> str:
    return spec.replace("mean_32, concat_128", "mean, concat")


def test_a_reading_is_chosen_like_any_axis(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    joined = {each.run_id for method in ("plain", "anchor") for each in cells(plan, method)["concat_128"].replicates}
    chosen = {run.run_id for run in due_runs(plan, {}, only=["readout=concat_128"])}
    assert chosen == {run_id for run_id in plan.runs if plan.runs[run_id].kept} | joined  # the models are needed
    assert {run.run_id for run in due_runs(plan, {}, only=["readout=mean_32"])} == chosen - joined
    first = one_cell(plan, "method=plain,readout=concat_128")
    assert plan.cells[first] is cells(plan, "plain")["concat_128"]
