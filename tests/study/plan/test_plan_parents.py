"""Students and their teachers: which run learns from which, in which order, and what happens when a teacher fails."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from study.dependencies import blocked
from study.plan import Plan, blocked_runs, due_runs
from study.spec.errors import SpecError
from trainables.config import RunConfig

MakePlan = Callable[..., Plan]

SPEC = """\
study: s
methods:
  student: {strategy: {name: transfer, teacher: {method: teacher}}, settings: {embedding_dim: 16}, baseline: teacher}
  teacher: {loss: proxy_anchor}
compare: {dataset: [glyphs, small]}
datasets: {small: {name: glyphs, classes: 20}}
replicates: {seeds: 2, folds: 2}
untrained: false
"""


@dataclass(frozen=True)
class Commit:
    status: str


def replicates(plan: Plan, method: str) -> dict[tuple[str, int, int], tuple[str, str]]:
    """(run_id, parent) by dataset, seed and fold."""
    return {
        (cell.axes["dataset"], each.seed, each.fold): (each.run_id, "".join(each.sources))
        for cell in plan.cells
        if cell.method == method
        for each in cell.replicates
    }


def test_every_student_learns_from_the_run_of_its_dataset_seed_and_fold(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    teachers, students = replicates(plan, "teacher"), replicates(plan, "student")
    assert len(teachers) == len(students) == 8
    for place, (run_id, parent) in students.items():
        assert parent == teachers[place][0]
        planned = plan.runs[run_id]
        assert planned.config.strategy.parent is not None
        assert planned.config.strategy.parent.run == parent
        assert planned.config.run_id() == run_id
        assert plan.runs[parent].kept == {"weights"} and plan.runs[parent].config.keep.weights == "selected"
        assert not planned.kept and planned.config.keep.weights == "none"


def test_the_id_of_a_student_depends_on_its_teacher_and_on_nothing_of_the_teachers_name(make_plan: MakePlan) -> None:
    first = replicates(make_plan(SPEC), "student")
    renamed = replicates(
        make_plan(SPEC.replace("teacher: {loss", "anchor: {loss").replace(": teacher}", ": anchor}")), "student"
    )
    changed = replicates(make_plan(SPEC.replace("loss: proxy_anchor", "loss: norm_softmax")), "student")
    assert renamed == first
    assert all(changed[place][0] != run_id for place, (run_id, _) in first.items())


def test_the_cell_of_a_student_shows_the_teacher_of_its_first_replicate(make_plan: MakePlan) -> None:
    for cell in make_plan(SPEC).cells:
        parent = cell.config.strategy.parent
        assert ((parent.run,) if parent else ()) == cell.replicates[0].sources


def test_a_fixed_seed_gives_all_students_one_teacher(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC.replace("method: teacher}", "method: teacher, seed: 1}"))
    teachers, students = replicates(plan, "teacher"), replicates(plan, "student")
    for (dataset, _, fold), (_, parent) in students.items():
        assert parent == teachers[dataset, 1, fold][0]
    assert len({run_id for run_id, _ in students.values()}) == 8


def test_a_chain_of_students(make_plan: MakePlan) -> None:
    more = "  grandchild: {strategy: {name: transfer, teacher: {method: student}}}\ncompare"
    plan = make_plan(SPEC.replace("compare", more))
    assert {parent for _, parent in replicates(plan, "grandchild").values()} == {
        run_id for run_id, _ in replicates(plan, "student").values()
    }


def test_a_teacher_that_holds_no_fold_out_has_one_run_for_all_folds(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC.replace("{loss: proxy_anchor}", "{loss: proxy_anchor, protocol.selection: last}"))
    for (dataset, seed, _), (_, parent) in replicates(plan, "student").items():
        assert parent == replicates(plan, "teacher")[dataset, seed, 0][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("method: teacher}", "method: taecher}"), "unknown method 'taecher'; did you mean 'teacher'"),
        (("method: teacher}", "method: student}"), "goes round in a circle: student -> student"),
        (("method: teacher}", "method: teacher, seed: 7}"), r"not trained with seed 7 on fold 0 \(seeds 0, 1\)"),
        (
            ("method: teacher}", "method: teacher, weights: w.pt}"),
            "needs exactly one of method, run and weights",
        ),
        (("{loss: proxy_anchor}", "{strategy: untrained}"), "of the teacher trains nothing to learn from"),
        (("compare: {", "compare: {loss.margin: [0.1, 0.2], "), "'teacher' has 2 cells that fit dataset=glyphs"),
        (("untrained: false", "exclude: [{method: teacher, dataset: small}]"), "no cell for dataset=small"),
    ],
)
def test_a_teacher_that_cannot_be_is_refused(make_plan: MakePlan, change: tuple[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make_plan(SPEC.replace(*change))


def test_students_of_failed_teachers_are_blocked(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    (run_id, parent), *_ = replicates(plan, "student").values()
    commits = {parent: Commit("failed")}
    assert blocked_runs(plan, commits) == {run_id}
    assert {run.run_id for run in due_runs(plan, commits)} == set(plan.runs) - {run_id, parent}
    assert {run.run_id for run in due_runs(plan, commits, retry_failed=True)} == set(plan.runs)


def test_a_run_is_blocked_by_what_failed_above_it_but_not_past_a_complete_run() -> None:
    parents = {"child": ["stranger", "parent"], "grandchild": ["child"]}
    assert blocked(parents, {"parent": "failed"}) == {"child", "grandchild"}
    assert blocked(parents, {"parent": "failed", "child": "failed"}) == {"grandchild"}
    assert blocked(parents, {"parent": "failed", "child": "complete"}) == set()
    assert blocked(parents, {"parent": "complete"}) == set()


def test_a_teacher_without_weights_is_due_again_where_a_student_is(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    teachers = {run_id for run_id, _ in replicates(plan, "teacher").values()}
    (student, parent), *others = replicates(plan, "student").values()
    commits = {run_id: Commit("complete") for run_id in [*teachers, *(run_id for run_id, _ in others)]}
    assert [run.run_id for run in due_runs(plan, commits)] == [student]
    assert {run.run_id for run in due_runs(plan, commits, has_kept=lambda run: False)} == {student, parent}
    commits[student] = Commit("complete")
    assert due_runs(plan, commits, has_kept=lambda run: False) == []


def test_only_students_bring_their_missing_teachers(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    due = due_runs(plan, {}, only=["method=student", "dataset=small"])
    assert {run.run_id for run in due} == {
        run_id for place, pair in replicates(plan, "student").items() if place[0] == "small" for run_id in pair
    }


def test_the_record_names_parents(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    recorded = {each["run_id"]: each.get("sources") for cell in plan.record()["cells"] for each in cell["replicates"]}
    assert recorded == {run_id: list(run.sources) or None for run_id, run in plan.runs.items()}


def test_a_planned_student_survives_json(make_plan: MakePlan) -> None:
    plan = make_plan(SPEC)
    for run_id, run in plan.runs.items():
        assert RunConfig.model_validate_json(run.config.model_dump_json()).run_id() == run_id
