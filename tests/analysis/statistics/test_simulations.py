"""What statistics promise, seen over many made-up studies: family-wise errors and coverage.

Monte-Carlo errors are given as one standard deviation; bounds stand at least two of them away from what is expected.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from study_in_memory import Study

from analysis.cells import Sample
from analysis.claims import check_claims, claim_stars, stars
from analysis.claims.checking import _holm
from analysis.statistics import compare_all, compare_summaries, summarize
from analysis.statistics.class_intervals import RESAMPLES, Interval, bootstrap_interval, over_both
from analysis.statistics.comparisons import _paired

Array = NDArray[np.float64]


def null_tables(tables: int, claims: int, n: int) -> tuple[Array, Array]:
    """[tables * claims, n] of methods and of the one baseline that all of a table share; no true difference."""
    rng = np.random.default_rng(n)
    values = rng.normal(size=(tables, claims + 1, n)) + rng.normal(size=(tables, 1, n))
    return values[:, 1:].reshape(-1, n), np.repeat(values[:, 0], claims, axis=0)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_at_most_one_table_in_twenty_has_a_star_where_nothing_differs(n: int) -> None:
    """10,000 tables of four claims: about 4 %, Monte-Carlo error 0.2 %."""
    p_values = np.array([each.p_value for each in _paired(*null_tables(10_000, 4, n), 0.95)]).reshape(-1, 4)
    smallest = 4 * p_values.min(axis=1)  # of Holm's p-values, as the next test shows
    assert 0.02 < float(np.mean(smallest <= 0.05)) <= 0.05
    assert float(np.mean(p_values.min(axis=1) <= 0.05)) > 0.1


def test_the_smallest_of_holms_p_values_is_bonferronis() -> None:
    for row in np.random.default_rng(0).uniform(size=(5, 4)):
        assert min(_holm(row.tolist(), 0.05)) == pytest.approx(min(1, 4 * row.min()))


def test_reports_and_tables_star_what_those_tests_reject() -> None:
    """Through everything that a user calls, so that the simulation above holds for it: two studies, one without any
    difference, which have a star where Holm's p-value says so and nowhere else."""
    rng, seen = np.random.default_rng(3), set()
    for shift in (0.0, 0.02):
        values = rng.normal(0.5, 0.01, size=(4, 5)) + shift * np.arange(4)[:, None]
        study = Study(seeds=range(5))
        for index, row in enumerate(values.tolist()):
            study.add(f"m{index}", {"test_map_at_r": row}, baseline=0 if index else None)
            if index:
                study.claim(f"m{index}", "m0")
        expected = [
            p <= 0.05 for p in _holm([scipy_stats.ttest_rel(row, values[0]).pvalue for row in values[1:]], 0.05)
        ]
        results = study.results()
        assert [bool(stars(each)) for each in check_claims(results).comparisons] == expected
        marks = claim_stars(results)
        assert [bool(marks.of(("made-up", i), ("made-up", 0), "test_map_at_r")) for i in (1, 2, 3)] == expected
        seen |= set(expected)
    assert seen == {True, False}


@pytest.mark.parametrize("n", [3, 5, 8])
def test_intervals_over_seeds_cover(n: int) -> None:
    """Of a mean and of paired differences: 5000 each, Monte-Carlo error 0.3 %."""
    first, second = np.random.default_rng(n).normal(1.0, 2.0, size=(2, 5000, n))
    of_means = [summarize(row) for row in first]
    assert 0.94 <= share(of_means, 1.0) <= 0.96
    assert 0.94 <= share(_paired(first, second, 0.95), 0.0) <= 0.96


@pytest.mark.parametrize("n", [3, 5, 8])
def test_intervals_of_unpaired_differences_cover(n: int) -> None:
    """Welch's, of groups with 1 and 2 as deviations and n and n + 2 seeds: 1500, Monte-Carlo error 0.6 %."""
    rng = np.random.default_rng(n)
    first, second = rng.normal(1.0, 1.0, size=(1500, n)), rng.normal(1.0, 2.0, size=(1500, n + 2))
    found = [compare_summaries(summarize(a), summarize(b)) for a, b in zip(first, second, strict=True)]
    assert 0.93 <= share(found, 0.0) <= 0.97


def share(intervals: Any, truth: float) -> float:
    return float(np.mean([each.low <= truth <= each.high for each in intervals]))


def class_intervals(values: Array, weights: Array) -> list[Interval]:
    """`bootstrap_interval` of every row of [m, C]; as it draws the same classes for each, a product of matrices."""
    n = values.shape[1]
    drawn = np.random.default_rng(0).integers(0, n, size=(RESAMPLES, n))
    counts = np.array([np.bincount(row, minlength=n) for row in drawn], dtype=float)
    means = (values * weights) @ counts.T / (weights @ counts.T)
    quantile = np.sqrt(n / (n - 1)) * scipy_stats.t.ppf(0.975, n - 1)
    low, high = np.quantile(means, scipy_stats.norm.cdf([-quantile, quantile]), axis=1)
    return [Interval(*bounds, n) for bounds in zip(low.tolist(), high.tolist(), strict=True)]


def skewed(classes: int, repetitions: int) -> tuple[Array, Array]:
    """Differences whose mean is 1, and numbers of queries that have nothing to do with them."""
    rng = np.random.default_rng(classes)
    queries = rng.integers(5, 60, size=(repetitions, classes)).astype(float)
    return rng.normal(size=queries.shape) + rng.exponential(size=queries.shape), queries


@pytest.mark.parametrize("classes", [5, 30])
def test_the_fast_class_intervals_are_the_real_ones(classes: int) -> None:
    values, queries = skewed(classes, 4)
    for found, row in zip(class_intervals(values, queries), zip(values, queries, strict=True), strict=True):
        real = bootstrap_interval(*row)
        assert (found.low, found.high) == pytest.approx((real.low, real.high), abs=1e-9)


@pytest.mark.parametrize(("classes", "expected"), [(5, 0.91), (10, 0.935), (20, 0.935), (50, 0.935), (100, 0.94)])
def test_coverage_over_classes_is_what_the_documentation_says(classes: int, expected: float) -> None:
    """4000 repetitions: Monte-Carlo error 0.4 %."""
    assert share(class_intervals(*skewed(classes, 4000)), 1.0) == pytest.approx(expected, abs=0.013)


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_an_interval_over_both_covers_where_those_over_one_do_not(seeds: int) -> None:
    """Seeds by thirty classes, both drawn anew 600 times; the true difference is 0. Monte-Carlo error 1 %."""
    rng, classes, repetitions = np.random.default_rng(2), 30, 600
    noise = rng.normal(size=(repetitions, seeds, classes)) / 2
    cube = rng.normal(size=(repetitions, seeds, 1)) / 2 + rng.normal(size=(repetitions, 1, classes)) + noise
    compared = compare_all([(sample(values.mean(axis=1)), sample(np.zeros(seeds))) for values in cube])
    over_classes = class_intervals(cube.mean(axis=1), np.ones((repetitions, classes)))
    pairs = list(zip(compared, over_classes, strict=True))
    covered = [over_both(one.difference, one, other) for one, other in pairs]
    assert share(compared, 0.0) < 0.95
    assert share(over_classes, 0.0) < 0.92
    assert share(covered, 0.0) > 0.94


def sample(values: Array) -> Sample:
    return Sample(dict(enumerate(map(float, values))), {seed: f"{seed}-{id(values)}" for seed in range(len(values))})
