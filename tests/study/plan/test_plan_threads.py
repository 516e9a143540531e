"""Threads of a training never share the CPUs that it asked for."""

from collections.abc import Callable

import pytest

from study.plan import Plan
from trainables.errors import DmlStudyError

MakePlan = Callable[..., Plan]
WRONG = r"methods\.a.*training\.threads is 4 and resources\.cpu 1; set resources\.cpu: 4 too"


def test_more_threads_than_cpus_are_refused_once(make_plan: MakePlan) -> None:
    with pytest.raises(DmlStudyError, match=WRONG) as error:
        make_plan(
            "study: s\nmethods: {a: {synthesis: proxy_synthesis}}\ncompare: {synthesis.ratio: [0.5, 1]}\n"
            "settings: {training.threads: 4}\n"
        )
    assert str(error.value).count("training.threads") == 1


def test_a_search_has_as_many(make_plan: MakePlan) -> None:
    with pytest.raises(DmlStudyError, match=WRONG):
        make_plan(
            "study: s\nmethods: {a: {tune: {optimizer.lr: [0.001, 0.01]}}}\n"
            "settings: {training.threads: 4}\nstages: {tune: {trials: 2, seeds: [100]}}\n"
        )


@pytest.mark.parametrize(("threads", "cpu"), [(4, 4), (2, 2.5), (1, 0.5)])
def test_as_many_are_fine_and_one_on_a_part_of_a_cpu(make_plan: MakePlan, threads: int, cpu: float) -> None:
    plan = make_plan(
        f"study: s\nmethods: {{a: {{}}}}\nsettings: {{training.threads: {threads}}}\nresources: {{cpu: {cpu}}}\n"
    )
    assert {cell.config.training.threads for cell in plan.cells} == {threads}
