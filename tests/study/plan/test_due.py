"""Choosing cells, and which runs are due."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from study.plan import Plan, due_runs, one_cell
from trainables.errors import ConfigError

MakePlan = Callable[..., Plan]

SPEC = """\
study: s
methods:
  norm: {loss: norm_softmax}
  norm + PS: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: norm}
  anchor: {loss: proxy_anchor}
compare: {synthesis.ratio: [0.5, 1], training.epochs: [1, 2]}
replicates: {seeds: 2}
"""


@dataclass(frozen=True)
class Commit:
    status: str


@pytest.fixture
def plan(make_plan: MakePlan) -> Plan:
    return make_plan(SPEC)


def test_runs_are_due_until_they_are_complete(plan: Plan) -> None:
    first, second, third, *others = plan.runs
    commits = {
        first: Commit("complete"),
        second: Commit("failed"),
        third: Commit("pruned"),
        "foreign": Commit("complete"),
    }
    assert [run.run_id for run in due_runs(plan, {})] == list(plan.runs)
    assert [run.run_id for run in due_runs(plan, commits)] == [third, *others]
    assert [run.run_id for run in due_runs(plan, commits, retry_failed=True)] == [second, third, *others]
    assert [run.run_id for run in due_runs(plan, commits, policy="always")] == list(plan.runs)
    assert due_runs(plan, commits, policy="only-cache") == []


@pytest.mark.parametrize(
    ("only", "count"),
    [
        (["method=anchor"], 2 * 2),
        (["method=anchor", "method=norm"], 2 * 2 * 2),
        (["method=norm + PS", "synthesis.ratio=0.5"], 2 * 2),
        (["loss=norm_softmax"], 2 * 2 * (1 + 2)),
        (["synthesis=proxy_synthesis", "training.epochs=1"], 2 * 2),
        (["loss.margin=0.1"], 2 * 2),
        (["dataset=glyphs"], 2 * (1 + 2 + 4 + 2)),
        (["method=untrained"], 2),
    ],
)
def test_only_some_cells(plan: Plan, only: list[str], count: int) -> None:
    assert len(due_runs(plan, {}, only=only)) == count


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("anchor", "'anchor' should be key=value, such as method=untrained"),
        ("los=proxy_nca", "unknown key 'los'; did you mean 'loss'"),
        ("loss.scael=1", "did you mean 'scale'"),
        ("method=nrom", "fits no cell of the plan"),
        ("synthesis.ratio=0.7", "fits no cell of the plan"),
    ],
)
def test_an_only_that_names_nothing(plan: Plan, only: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        due_runs(plan, {}, only=[only])


def test_an_unknown_policy(plan: Plan) -> None:
    with pytest.raises(ConfigError, match="unknown policy 'allways'; did you mean 'always'"):
        due_runs(plan, {}, policy="allways")


@pytest.mark.parametrize(
    ("selector", "title"),
    [
        ("0", "untrained (dataset=glyphs)"),
        ("method=anchor,training.epochs=2", "anchor (dataset=glyphs, training.epochs=2)"),
        (
            "method=norm + PS, synthesis.ratio=1.0, training.epochs=1",
            "norm + PS (dataset=glyphs, synthesis.ratio=1, training.epochs=1)",
        ),
        ("untrained", "untrained (dataset=glyphs)"),
        (
            "synthesis.ratio=0.5, training.epochs=2",
            "norm + PS (dataset=glyphs, synthesis.ratio=0.5, training.epochs=2)",
        ),
        ("norm (dataset=glyphs, training.epochs=1)", "norm (dataset=glyphs, training.epochs=1)"),
    ],
)
def test_naming_one_cell(plan: Plan, selector: str, title: str) -> None:
    assert plan.cells[one_cell(plan, selector)].title == title


def test_naming_several_cells_or_none(plan: Plan) -> None:
    with pytest.raises(ConfigError, match="'method=anchor' fits several cells; say more:") as caught:
        one_cell(plan, "method=anchor")
    assert str(caught.value).splitlines()[1:] == [
        "  7: anchor (dataset=glyphs, training.epochs=1)",
        "  8: anchor (dataset=glyphs, training.epochs=2)",
    ]
    with pytest.raises(ConfigError, match="'ancor' fits no cell; there are:\n  0: untrained"):
        one_cell(plan, "ancor")
    with pytest.raises(ConfigError, match="'99' fits no cell"):
        one_cell(plan, "99")


def test_a_run_in_one_line(plan: Plan) -> None:
    run = list(plan.runs.values())[-1]
    assert plan.describe(run.run_id) == "anchor (dataset=glyphs, training.epochs=2), seed 1, fold 0"
