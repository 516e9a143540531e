"""Numbers against scipy, worked examples and hand computation."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from study_in_memory import Study

from analysis.cells import EMPTY, Sample, cell_samples
from analysis.statistics import (
    bold_cells,
    compare,
    compare_all,
    minimum_detectable_difference,
    minimum_rank_test_p,
    summarize,
)

PS_BASELINE = [83.38, 83.25, 83.25, 83.18, 83.05, 82.90, 82.83, 82.79]
"""README of the official Proxy Synthesis code: norm-softmax on CARS196, Recall@1 of eight runs; stated 83.08 ± 0.21."""


def sample(values: Sequence[float], *, seeds: Sequence[int] | None = None) -> Sample:
    seeds = seeds or range(len(values))
    return Sample(dict(zip(seeds, values, strict=True)), {seed: f"run{seed}-{id(values)}" for seed in seeds})


def shared(value: float, n: int) -> Sample:
    return Sample(dict.fromkeys(range(n), value), dict.fromkeys(range(n), "one-run"))


def test_published_mean_and_deviation_are_the_sample_ones() -> None:
    summary = summarize(PS_BASELINE)
    assert (summary.n, round(summary.mean, 2), round(summary.std, 2)) == (8, 83.08, 0.22)
    assert round(float(np.std(PS_BASELINE)), 2) == 0.21  # the README divides by n


def test_interval_is_students() -> None:
    summary = summarize([1.0, 2.0, 3.0, 4.0])
    low, high = stats.ttest_1samp([1.0, 2.0, 3.0, 4.0], 0.0).confidence_interval(0.95)
    assert (summary.low, summary.high) == pytest.approx((low, high))
    assert summary.std == pytest.approx(math.sqrt(5 / 3))


def test_one_value_has_a_mean_and_nothing_else_and_none_has_nothing() -> None:
    one, none = summarize([0.5]), summarize([])
    assert (one.n, one.mean) == (1, 0.5)
    assert all(math.isnan(value) for value in (one.std, one.low, one.high, none.mean, none.std))


def test_equal_seeds_are_paired_in_the_order_of_the_seeds() -> None:
    a, b = sample([5.0, 7.0, 6.0], seeds=[2, 0, 1]), sample([6.5, 5.0, 4.5], seeds=[0, 1, 2])
    result = compare(a, b)
    expected = stats.ttest_rel([7.0, 6.0, 5.0], [6.5, 5.0, 4.5])
    assert result.paired
    assert result.p_value == pytest.approx(expected.pvalue)
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert result.correlation == pytest.approx(np.corrcoef([7.0, 6.0, 5.0], [6.5, 5.0, 4.5])[0, 1])


def test_paired_difference_by_hand() -> None:
    result = compare(sample([2.0, 4.0, 6.0]), sample([1.0, 2.0, 3.0]))  # differences 1, 2, 3
    assert result.difference == 2.0
    assert result.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)


def test_unequal_seeds_are_welchs() -> None:
    result = compare(sample([5.0, 7.0, 6.0]), sample([4.0, 4.5], seeds=[0, 1]))
    expected = stats.ttest_ind([5.0, 7.0, 6.0], [4.0, 4.5], equal_var=False)
    assert not result.paired
    assert (result.n, result.difference) == (2, 1.75)
    assert result.p_value == pytest.approx(expected.pvalue)


def test_a_seed_independent_value_is_compared_with_every_seed() -> None:
    values = [5.0, 7.0, 6.5]
    result = compare(sample(values), shared(5.5, 3))
    assert (result.n, result.paired) == (3, True)
    assert result.p_value == pytest.approx(stats.ttest_1samp(values, 5.5).pvalue)
    assert compare(shared(5.5, 3), sample(values)).difference == pytest.approx(-result.difference)


def test_two_seed_independent_values_have_no_interval() -> None:
    result = compare(shared(5.0, 8), shared(4.0, 8))
    assert (result.difference, result.n) == (1.0, 1)
    assert math.isnan(result.p_value)


@pytest.mark.parametrize(("other", "p_value"), [([1.0, 2.0, 3.0], 1.0), ([0.0, 1.0, 2.0], 0.0)])
def test_differences_without_spread_are_certain(other: list[float], p_value: float) -> None:
    result = compare(sample([1.0, 2.0, 3.0]), sample(other))
    assert result.p_value == p_value
    assert result.low == result.high == result.difference


def test_single_seeds_and_empty_cells_give_no_interval() -> None:
    one = compare(sample([2.0]), sample([1.0]))
    assert (one.difference, one.n) == (1.0, 1)
    assert math.isnan(one.low)
    nothing = compare(sample([2.0]), EMPTY)
    assert nothing.n == 0
    assert math.isnan(nothing.difference)


def test_many_comparisons_at_once_are_the_single_ones() -> None:
    rng = np.random.default_rng(0)
    samples = [sample(rng.normal(size=n)) for n in (3, 5, 3, 1, 5)] + [EMPTY, shared(0.1, 5)]
    pairs = [(a, b) for a in samples for b in samples]
    assert repr(compare_all(pairs)) == repr([compare(a, b) for a, b in pairs])


@pytest.mark.parametrize(("n", "effect"), [(3, 3.2640), (5, 1.6820), (8, 1.1560), (30, 0.5292)])
def test_detectable_effect_is_that_of_power_tables(n: int, effect: float) -> None:
    """Paired t-test, two-sided 5 %, power 80 %: what `statsmodels.stats.power.TTestPower().solve_power` gives."""
    assert minimum_detectable_difference(1.0, n) == pytest.approx(effect, abs=1e-4)
    assert minimum_detectable_difference(2.0, n) == pytest.approx(2 * minimum_detectable_difference(1.0, n))


def test_detectable_difference_has_the_power_it_promises() -> None:
    rng = np.random.default_rng(1)
    differences = rng.normal(minimum_detectable_difference(1.0, 4), 1.0, size=(20_000, 4))
    assert np.mean(stats.ttest_1samp(differences, 0.0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.01)


def test_detectable_difference_needs_two_seeds() -> None:
    assert math.isnan(minimum_detectable_difference(1.0, 1))
    assert math.isnan(minimum_detectable_difference(math.nan, 3))


@pytest.mark.parametrize(("n", "p"), [(1, 1.0), (5, 0.0625), (6, 0.03125), (8, 0.0078125)])
def test_rank_tests_have_a_smallest_p(n: int, p: float) -> None:
    assert minimum_rank_test_p(n) == p
    if n > 1:
        assert stats.wilcoxon(np.arange(1.0, n + 1), method="exact").pvalue == pytest.approx(p)


def test_below_five_seeds_only_the_best_is_bold() -> None:
    close = [sample([1.0, 2.0, 3.0]), sample([1.1, 2.0, 2.95]), EMPTY]
    assert bold_cells(close) == [False, True, False]
    assert bold_cells(close, higher_is_better=False) == [True, False, False]


@pytest.mark.parametrize("n", [5, 8])
def test_from_five_seeds_on_everything_not_significantly_worse_is_bold(n: int) -> None:
    rng = np.random.default_rng(3)
    best = rng.normal(10.0, 1.0, n)
    near, far = best - 0.1 + rng.normal(0.0, 1.0, n), best - 5.0 + rng.normal(0.0, 1.0, n)
    assert stats.ttest_rel(near, best).pvalue > 0.05 > stats.ttest_rel(far, best).pvalue
    assert near.mean() < best.mean()
    assert bold_cells([sample(far), sample(near), sample(best)]) == [False, True, True]


def test_pairing_finds_what_welch_would_not() -> None:
    seeds = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    noise = np.array([0.0, 0.1, -0.1, 0.05, -0.05])
    assert bold_cells([sample(seeds + 1), sample(seeds + noise)]) == [True, False]
    assert bold_cells([sample(seeds + 1), sample(seeds + noise, seeds=range(5, 10))]) == [True, True]


def test_equal_means_are_both_bold_and_a_lone_cell_is_not() -> None:
    assert bold_cells([sample([1.0, 3.0]), sample([3.0, 1.0])]) == [True, True]
    assert bold_cells([sample([1.0, 3.0])]) == [False]
    assert bold_cells([sample([1.0, 3.0]), EMPTY]) == [False, False]
    assert bold_cells([]) == []


def test_a_lone_seed_is_not_the_best_beside_repeated_ones_but_an_untrained_network_may_be() -> None:
    assert bold_cells([sample([9.0]), sample([1.0, 2.0, 3.0]), sample([1.0, 1.0, 2.0])]) == [False, True, False]
    assert bold_cells([shared(9.0, 3), sample([1.0, 2.0, 3.0])]) == [True, False]
    assert bold_cells([sample([9.0]), sample([1.0])]) == [True, False]


def test_few_seeds_of_one_cell_do_not_profit_from_many_of_the_best() -> None:
    many = sample([1.0, 2.0, 3.0, 4.0, 5.0])
    assert bold_cells([many, sample([2.9, 2.8])]) == [True, False]


def test_folds_are_averaged_before_anything_else() -> None:
    study = Study(seeds=(0, 1), folds=2)
    study.add("a", [0.1, 0.3, 0.5, 0.9])
    found = cell_samples(study.results().replicates, "test_map_at_r", factor=100.0)[("made-up", 0)]
    assert found.by_seed == pytest.approx({0: 20.0, 1: 70.0})
    assert summarize(found.values).n == 2


def test_a_seed_with_a_missing_fold_is_left_out() -> None:
    study = Study(seeds=(0, 1), folds=2)
    study.add("a", [0.1, None, 0.5, 0.9])
    found = cell_samples(study.results().replicates, "test_map_at_r")[("made-up", 0)]
    assert set(found.by_seed) == {1}


def test_n_counts_distinct_runs() -> None:
    study = Study()
    study.add("untrained", [0.5] * 3, run_ids=["a" * 16] * 3)
    found = cell_samples(study.results().replicates, "test_map_at_r")[("made-up", 0)]
    assert (found.n, found.mean, found.shared) == (1, 0.5, True)


def test_what_is_not_finite_or_not_complete_does_not_count() -> None:
    study = Study(seeds=range(5))
    study.add("a", [0.5, math.nan, math.inf, 0.7, 0.9], status={3: "pruned"})
    found = cell_samples(study.results().replicates, "test_map_at_r")[("made-up", 0)]
    assert found.by_seed == {0: 0.5, 4: 0.9}
