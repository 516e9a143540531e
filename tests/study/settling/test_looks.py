"""One look: against scipy's paired t-test, and what it does without one."""

import pytest
from scipy import stats

from study.settling.looks import Look, look

FIRST = {0: 0.52, 1: 0.55, 2: 0.53, 3: 0.56}
SECOND = {0: 0.50, 1: 0.51, 2: 0.52, 3: 0.53}


def seen(first: dict[int, float], second: dict[int, float], *, level: float = 0.05, **changed: object) -> Look:
    arguments = {"negligible": None, "lower_is_better": False, **changed}
    return look(first, second, seeds=4, level=level, **arguments)  # type: ignore[arg-type]


def test_it_is_the_paired_t_test() -> None:
    expected = stats.ttest_rel(list(FIRST.values()), list(SECOND.values()))
    found = seen(FIRST, SECOND)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-9)
    assert (found.n, found.verdict) == (4, "better")
    assert found.difference == pytest.approx(0.025)


def test_the_level_decides_and_widens_the_interval() -> None:
    found = seen(FIRST, SECOND, level=0.01)
    assert found.verdict == "open"
    low, high = stats.ttest_rel(list(FIRST.values()), list(SECOND.values())).confidence_interval(0.99)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


def test_the_direction_follows_the_metric() -> None:
    assert seen(SECOND, FIRST).verdict == "worse"
    assert seen(FIRST, SECOND, lower_is_better=True).verdict == "worse"
    assert seen(SECOND, FIRST, lower_is_better=True).verdict == "better"


def test_equal_when_the_whole_interval_does_not_matter() -> None:
    near = {seed: value + 1e-4 * (-1) ** seed for seed, value in FIRST.items()}
    assert seen(near, FIRST, negligible=0.001).verdict == "equal"
    assert seen(near, FIRST, negligible=0.0001).verdict == "open"
    assert seen(near, FIRST).verdict == "open"


def test_a_seed_that_one_side_lacks_is_left_out() -> None:
    assert seen(FIRST, {**SECOND, 9: 0.9}) == seen(FIRST, SECOND)
    without = seen({seed: FIRST[seed] for seed in (0, 1, 2)}, SECOND)
    assert without.n == 3


@pytest.mark.parametrize(
    ("first", "second", "level"),
    [
        ({0: 0.5}, {0: 0.4}, 0.05),
        ({}, {0: 0.4}, 0.05),
        ({0: 0.5, 1: 0.6}, {0: 0.4, 1: 0.5}, 0.05),  # the same difference twice
        (FIRST, SECOND, 0.0),
    ],
)
def test_where_nothing_can_be_tested_the_claim_stays_open(
    first: dict[int, float], second: dict[int, float], level: float
) -> None:
    found = seen(first, second, level=level)
    assert (found.verdict, found.p_value) == ("open", None)
