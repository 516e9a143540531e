"""Statistics against published worked examples; the source stands beside each."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import special
from study_in_memory import Study

from analysis.cells import Sample
from analysis.claims.checking import _holm, _wilcoxon
from analysis.ranks import critical_difference, performance_profile, rank_test
from analysis.statistics import compare, known_summary, seeds_needed, summarize
from analysis.statistics.class_intervals import bootstrap_interval
from analysis.statistics.effects import NO_EFFECT, paired_effect, unpaired_effect
from analysis.statistics.importance import importance
from trainables.errors import DmlStudyError

SLEEP = ([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
"""Student, The probable error of a mean, Biometrika 6, 1908; as R's data set `sleep`."""
PLANTS = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
"""Darwin's cross- and self-fertilised plants: the example of scipy.stats.wilcoxon's documentation."""
AUC = [
    [0.763, 0.768, 0.771, 0.798],
    [0.599, 0.591, 0.590, 0.569],
    [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898],
    [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685],
    [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000],
    [0.940, 0.962, 0.965, 0.962],
    [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.97501, 0.975],
    [0.957, 0.978, 0.946, 0.970],
]
"""Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7, 2006, table 6. The last but one row
has 0.975 twice, and ranks 2 and 3."""
TREES = pd.DataFrame(AUC, columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"])


def sample(values: list[float], first: int = 0) -> Sample:
    seeds = range(first, first + len(values))
    return Sample(dict(zip(seeds, values, strict=True)), {seed: f"{first}-{seed}" for seed in seeds})


def test_students_sleep_paired() -> None:
    """R 4: `t.test(extra ~ group, data = sleep, paired = TRUE)`."""
    result = compare(sample(SLEEP[0]), sample(SLEEP[1]))
    assert result.difference == pytest.approx(-1.58)
    assert result.p_value == pytest.approx(0.002833, abs=1e-6)
    assert (result.low, result.high) == pytest.approx((-2.4598858, -0.7001142), abs=1e-7)


def test_students_sleep_unpaired() -> None:
    """R 4: `t.test(extra ~ group, data = sleep)`, Welch's."""
    result = compare(sample(SLEEP[0]), sample(SLEEP[1], first=10))
    assert not result.paired
    assert result.p_value == pytest.approx(0.07939, abs=1e-5)
    assert (result.low, result.high) == pytest.approx((-3.3654832, 0.2054832), abs=1e-7)


def test_wilcoxon_is_that_of_scipys_documentation() -> None:
    assert _wilcoxon(np.array(PLANTS, dtype=float)) == pytest.approx(0.041259765625)
    assert math.isnan(_wilcoxon(np.array([0.0, 0.0])))


def test_holm_is_that_of_the_textbook() -> None:
    """https://en.wikipedia.org/wiki/Holm-Bonferroni_method, "Example": four hypotheses at 5 %, the first and the last
    are rejected."""
    assert _holm([0.01, 0.04, 0.03, 0.005], 0.05) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert _holm([], 0.05) == []


def test_a_comparison_without_a_test_counts_among_them() -> None:
    corrected = _holm([0.01, math.nan], 0.05)
    assert corrected[0] == pytest.approx(0.02)
    assert math.isnan(corrected[1])


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed_are_those_of_power_tables(effect: float, pairs: int) -> None:
    """Matched pairs, two-sided 5 %, power 80 %, Cohen's small, medium and large effect: G*Power 3."""
    assert seeds_needed(effect, 1.0) == pairs
    assert seeds_needed(-3 * effect, 3.0) == pairs


def test_more_seeds_are_needed_at_a_smaller_level_and_some_differences_cannot_be_settled() -> None:
    first, second = seeds_needed(0.5, 1.0), seeds_needed(0.5, 1.0, alpha=0.0125)
    assert first is not None
    assert second is not None
    assert first < second
    assert seeds_needed(0.01, 1.0) is None
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1.0, math.nan) is None
    assert seeds_needed(30.0, 1.0) == 2


def test_noncentral_t_is_inverted_as_in_mbess() -> None:
    """R package MBESS, `conf.limits.nct(ncp = 2.83, df = 126, conf.level = .95)`."""
    assert special.nctdtrinc(126, [0.975, 0.025], 2.83) == pytest.approx([0.8337502, 4.8153594], abs=1e-6)


def test_hedges_g_of_pairs() -> None:
    """The sleep data: t = -4.0621 with 9 degrees of freedom, hence d = -1.2846, times the exact correction 0.9139."""
    effect = paired_effect(np.array(SLEEP[0]) - np.array(SLEEP[1]))
    assert effect.g == pytest.approx(-1.2846 * 0.91387, abs=1e-3)
    assert effect.low < -1.2846 < effect.high < 0
    assert paired_effect(np.array([0.1, 0.2])) == NO_EFFECT
    assert paired_effect(np.array([0.1, 0.1, 0.1])) == NO_EFFECT


def test_hedges_g_of_groups() -> None:
    """Means 3 and 2, standard deviations 1, four and five values: d = 1, times 1 - 3 / (4 * 7 - 1)."""
    first, second = np.array([2.0, 2.0, 4.0, 4.0]) * math.sqrt(3) / 2, np.array([1.0, 2.0, 3.0])
    first += 3 - first.mean()
    effect = unpaired_effect(first, second)
    assert effect.g == pytest.approx(1 - 3 / (4 * 5 - 1))
    assert effect.low < 0 < effect.high
    assert unpaired_effect(first, second[:1]) == NO_EFFECT


def test_ranks_of_demsars_trees() -> None:
    """Section 3.2.4 of the paper: mean ranks, and the critical difference after Nemenyi at 5 % and at 10 %."""
    test = rank_test(TREES)
    assert test.ranks.round(3).to_dict() == {"C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143}
    assert round(test.critical_difference, 2) == 1.25
    assert round(critical_difference(4, 14, alpha=0.1), 2) == 1.12
    uncorrected = 12 * 14 / (4 * 5) * ((test.ranks**2).sum() - 4 * 5**2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)
    assert test.statistic > uncorrected  # corrected for ties
    assert test.p_value < 0.05


def test_bars_of_demsars_diagram() -> None:
    """At 10 % C4.5 is significantly worse than both trees with m, and nothing can be said about C4.5+cf."""
    assert rank_test(TREES).alike == [("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")]
    assert rank_test(TREES, alpha=0.1).alike == [("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5")]
    nemenyi = rank_test(TREES).nemenyi
    assert 0.05 < nemenyi.loc["C4.5", "C4.5+m+cf"] < 0.1 < nemenyi.loc["C4.5", "C4.5+cf"]


def test_ranks_turn_where_less_is_better_and_equal_methods_are_no_error() -> None:
    assert list(rank_test(-TREES, higher_is_better=False).ranks) == list(rank_test(TREES).ranks)
    twins = rank_test(TREES.assign(twin=TREES["C4.5"]))
    assert twins.wilcoxon.loc["C4.5", "twin"] == 1.0
    assert twins.wilcoxon.loc["C4.5", "C4.5+m"] == pytest.approx(twins.wilcoxon.loc["twin", "C4.5+m"])


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (TREES[:5], "ranks over 5 datasets .* need 6 or more"),
        (TREES[["C4.5", "C4.5+m"]], "three methods or more"),
        (TREES.replace(0.599, math.nan), r"every dataset; missing: C4\.5$"),
    ],
)
def test_ranks_are_refused_with_the_reason(scores: pd.DataFrame, message: str) -> None:
    with pytest.raises(DmlStudyError, match=message):
        rank_test(scores)


def test_performance_profile_by_hand() -> None:
    scores = pd.DataFrame({"a": [50.0, 40.0, math.nan], "b": [48.0, 41.0, 30.0]})
    profile = performance_profile(scores)
    assert list(profile.index) == [0.0, 1.0, 2.0]
    assert profile["a"].tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert profile["b"].tolist() == pytest.approx([2 / 3, 2 / 3, 1.0])
    assert performance_profile(scores, higher_is_better=False, distances=[0.0])["a"].tolist() == pytest.approx([1 / 3])


def test_interval_is_that_of_the_nist_handbook() -> None:
    """NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.2: confidence limits of the mean of ZARR13.DAT."""
    summary = known_summary(195, 9.261460, 0.022789)
    assert (summary.low, summary.high) == pytest.approx((9.258242, 9.264679), abs=2e-6)


def test_a_bootstrap_of_normal_scores_is_students_interval() -> None:
    """What the expanded percentile is made for: T. Hesterberg, What Teachers Should Know About the Bootstrap, 2015."""
    scores = special.ndtri((np.arange(1, 41) - 0.5) / 40)
    found, expected = bootstrap_interval(scores, np.ones(40)), summarize(scores)
    assert found.low == pytest.approx(expected.low, rel=0.06)
    assert found.high == pytest.approx(expected.high, rel=0.06)


def test_importance_of_a_sum_is_the_share_of_the_variance() -> None:
    """Without interactions a parameter's share is that of its own variance (F. Hutter et al., An Efficient Approach for
    Assessing Hyperparameter Importance, 2014): 1 and 9 parts for slopes of 1 and 3 over the same values."""
    study = Study(axes=["dataset", "loss.scale", "loss.margin"], seeds=(0,))
    steps = [index / 7 for index in range(8)]
    for x, y in product(steps, steps):
        study.add("a", [0.4 + 0.05 * x + 0.15 * y], loss__scale=x, loss__margin=y)
    found = importance(study.results()).set_index("parameter")["fanova"]
    assert found["loss.scale"] == pytest.approx(0.1, abs=0.03)
    assert found["loss.margin"] == pytest.approx(0.9, abs=0.03)
