"""Levels of looks: against the published functions, and by simulation."""

import math

import numpy as np
import pytest

from study.settling.looks import look
from study.settling.spending import level, looks
from study.spec.model import UntilSettled


def test_looks_end_with_all_seeds() -> None:
    assert looks(UntilSettled(first=5, every=5), seeds=20) == (5, 10, 15, 20)
    assert looks(UntilSettled(first=3, every=4), seeds=9) == (3, 7, 9)
    assert looks(UntilSettled(first=2, every=1), seeds=3) == (2, 3)


@pytest.mark.parametrize(
    ("spending", "fraction", "expected"),
    [
        ("pocock", 0.25, 0.05 * math.log(1 + (math.e - 1) * 0.25)),
        ("pocock", 1.0, 0.05),
        ("obrien_fleming", 0.25, 8.8575e-05),  # 2 (1 - Phi(1.959964 / 0.5)) = 2 (1 - Phi(3.919928))
        ("obrien_fleming", 0.5, 0.0055746),  # 2 (1 - Phi(2.771808))
        ("obrien_fleming", 1.0, 0.05),
    ],
)
def test_the_first_level_is_what_lan_and_demets_spend(spending: str, fraction: float, expected: float) -> None:
    rule = UntilSettled.model_validate({"spending": spending})
    assert level(rule, fraction=fraction, comparisons=1, spent=0.0) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("spending", ["pocock", "obrien_fleming"])
def test_all_looks_at_all_comparisons_spend_alpha(spending: str) -> None:
    rule = UntilSettled.model_validate({"spending": spending, "alpha": 0.1})
    levels: list[float] = []
    for count in (5, 10, 15, 20):
        levels.append(level(rule, fraction=count / 20, comparisons=4, spent=sum(levels)))
    assert all(each > 0 for each in levels)
    assert 4 * sum(levels) == pytest.approx(0.1)


def test_what_was_spent_under_another_plan_is_not_spent_again() -> None:
    rule = UntilSettled()
    assert level(rule, fraction=0.5, comparisons=1, spent=0.05) == 0.0
    assert level(rule, fraction=1.0, comparisons=1, spent=0.04) == pytest.approx(0.01)


@pytest.mark.parametrize(("first", "every", "seeds"), [(3, 1, 12), (5, 5, 20)])
def test_without_a_true_difference_few_studies_settle_one(first: int, every: int, seeds: int) -> None:
    """Four claims, seeds that share nothing: the familywise error over all looks is at most 5 %."""
    rule, generator = UntilSettled(first=first, every=every), np.random.default_rng(0)
    counts, studies = looks(rule, seeds=seeds), 400
    wrong = 0
    for _ in range(studies):
        values = generator.normal(size=(5, seeds))  # a baseline and four methods
        wrong += any(_verdict(rule, counts, values[method], values[0]) != "open" for method in range(1, 5))
    assert wrong / studies <= 0.05 + 1.64 * math.sqrt(0.05 * 0.95 / studies)  # one-sided 5 % test of the simulation


def test_a_large_difference_is_settled_at_the_first_look() -> None:
    rule, generator = UntilSettled(first=5, every=5), np.random.default_rng(1)
    early = 0
    for _ in range(100):
        baseline = generator.normal(size=20)
        early += _verdict(rule, (5, 10, 15, 20), baseline + 3 + 0.5 * generator.normal(size=20), baseline) == "better"
    assert early == 100


def _verdict(rule: UntilSettled, counts: tuple[int, ...], method: np.ndarray, baseline: np.ndarray) -> str:
    spent = 0.0
    for count in counts:
        new = level(rule, fraction=count / counts[-1], comparisons=4, spent=spent)
        pairs = [dict(enumerate(values[:count].tolist())) for values in (method, baseline)]
        found = look(*pairs, seeds=count, level=new, negligible=None, lower_is_better=False)
        if found.verdict != "open":
            return found.verdict
        spent += new
    return "open"
