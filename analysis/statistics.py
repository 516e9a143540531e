"""Means, intervals and comparisons of cells: thin calls into scipy.

What every table needs comes from `scipy.special`: to import `scipy.stats` takes longer than the table of 10,000 runs.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.samples import Floats, Sample

NAN = float("nan")
GENEROUS_FROM = 5
"""Number of seeds from which everything that is not significantly worse than the best may be bold."""


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation (ddof = 1) and t-interval of n values; NaN where n is too small."""

    n: int
    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Difference of two means with its t-interval and two-sided p-value.

    Attributes:
        n: pairs, or the smaller group's size; below 2 there is no interval and no p-value.
        paired: on the same seeds; otherwise Welch's test.
        correlation: of the pairs, what pairing gained; NaN where it is undefined.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    paired: bool
    correlation: float = NAN


@cache
def _t_quantile(confidence: float, df: int) -> float:
    return float(special.stdtrit(df, (1 + confidence) / 2))


def summarize(values: Floats | Sequence[float], *, confidence: float = 0.95) -> Summary:
    """Mean, sample standard deviation and t-interval.

    Args:
        values: [n], finite.
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    mean = float(data.mean()) if n else NAN
    if n < 2:
        return Summary(n, mean, NAN, NAN, NAN)
    return known_summary(n, mean, float(data.std(ddof=1)), confidence=confidence)


def compare(sample: Sample, baseline: Sample, *, confidence: float = 0.95) -> Comparison:
    """`sample` minus `baseline`: the paired t-test on equal seeds, Welch's on unequal ones.

    A value that does not depend on the seed (one run behind all seeds, such as an untrained network's) is paired with
    every seed of the other. Everything is NaN where one of them has no value.
    """
    return compare_all([(sample, baseline)], confidence=confidence)[0]


def compare_all(pairs: Sequence[tuple[Sample, Sample]], *, confidence: float = 0.95) -> list[Comparison]:
    """`compare` for many pairs; paired tests of one size go through scipy together."""
    results = [Comparison(NAN, NAN, NAN, NAN, 0, paired=True)] * len(pairs)
    by_size: dict[int, list[tuple[int, Floats, Floats]]] = {}
    for index, (sample, baseline) in enumerate(pairs):
        seeds = shared_seeds(sample, baseline) if sample.n and baseline.n else []
        if seeds is None:
            results[index] = _welch(sample.values, baseline.values, confidence)
        elif seeds:
            by_size.setdefault(len(seeds), []).append((index, sample.at(seeds), baseline.at(seeds)))
    for group in by_size.values():
        indices, first, second = zip(*group, strict=True)
        for index, comparison in zip(indices, _paired(np.array(first), np.array(second), confidence), strict=True):
            results[index] = comparison
    return results


def shared_seeds(sample: Sample, baseline: Sample) -> list[int] | None:
    """Seeds on which two cells are paired; None where their seeds differ."""
    if sample.shared and baseline.shared:
        return sorted(sample.by_seed)[:1]
    if sample.shared:
        return sorted(baseline.by_seed)
    if baseline.shared or sample.by_seed.keys() == baseline.by_seed.keys():
        return sorted(sample.by_seed)
    return None


def _paired(first: Floats, second: Floats, confidence: float) -> list[Comparison]:
    """One comparison per row of two arrays [m, n]; as `scipy.stats.ttest_rel` and its `confidence_interval`."""
    n, differences = first.shape[1], (first - second).mean(axis=1)
    if n < 2:
        return [Comparison(float(difference), NAN, NAN, NAN, n, paired=True) for difference in differences]
    error = (first - second).std(axis=1, ddof=1) / math.sqrt(n)
    reach = _t_quantile(confidence, n - 1) * error
    with _without_warnings():  # rows of equal differences are replaced below
        p_values = 2 * special.stdtr(n - 1, -np.abs(differences / error))
    columns = [differences, differences - reach, differences + reach, p_values, _correlations(first, second)]
    results = [
        Comparison(difference, lower, upper, p_value, n, True, correlation)
        for difference, lower, upper, p_value, correlation in np.stack(columns, axis=1).tolist()
    ]
    constant = _constant(first - second)
    return [_certain(result) if same else result for result, same in zip(results, constant, strict=True)]


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def _certain(comparison: Comparison) -> Comparison:
    """Without any spread the difference is what it is: p is 1 where it is 0, else 0."""
    difference = comparison.difference
    p_value = float(_equal(difference, 0.0))
    return replace(comparison, low=difference, high=difference, p_value=p_value)


def _correlations(first: Floats, second: Floats) -> Floats:
    """[m] Pearson correlation of every pair of rows; NaN where one of them does not vary."""
    a, b = (rows - rows.mean(axis=1, keepdims=True) for rows in (first, second))
    norms = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    result = np.full(len(a), NAN)
    np.divide((a * b).sum(axis=1), norms, out=result, where=norms > 1e-24)
    return result


def _welch(first: Floats, second: Floats, confidence: float) -> Comparison:
    n = min(len(first), len(second))
    difference = float(first.mean() - second.mean())
    if n < 2:
        return Comparison(difference, NAN, NAN, NAN, n, paired=False)
    if _constant(first).all() and _constant(second).all():
        return _certain(Comparison(difference, NAN, NAN, NAN, n, paired=False))
    from scipy import stats

    with _without_warnings():  # one group may be constant
        test = stats.ttest_ind(first, second, equal_var=False)
    low, high = test.confidence_interval(confidence)
    return Comparison(difference, float(low), float(high), float(test.pvalue), n, paired=False)


def known_summary(n: int, mean: float, std: float, *, confidence: float = 0.95) -> Summary:
    """The summary of values of which only these are known; no interval below two values or without a deviation."""
    if n < 2 or not math.isfinite(std):
        return Summary(n, mean, std, NAN, NAN)
    reach = _t_quantile(confidence, n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - reach, mean + reach)


def compare_summaries(first: Summary, second: Summary, *, confidence: float = 0.95) -> Comparison:
    """`first` minus `second` by Welch's test; the difference alone where a deviation or a size is not known."""
    from scipy import stats

    n, difference = min(first.n, second.n), first.mean - second.mean
    variances = [each.std**2 / each.n if each.n > 1 else NAN for each in (first, second)]
    if n < 2 or not sum(variances) > 0:
        return Comparison(difference, NAN, NAN, NAN, n, paired=False)
    test = stats.ttest_ind_from_stats(
        first.mean, first.std, first.n, second.mean, second.std, second.n, equal_var=False
    )
    parts = zip(variances, (first.n, second.n), strict=True)
    df = sum(variances) ** 2 / sum(variance**2 / (size - 1) for variance, size in parts)
    low, high = stats.t.interval(confidence, df, loc=difference, scale=math.sqrt(sum(variances)))
    return Comparison(difference, float(low), float(high), float(test.pvalue), n, paired=False)


def _equal(first: float, second: float) -> bool:
    """Equal but for rounding: the same values, averaged in another order."""
    return bool(np.isclose(first, second, rtol=1e-12, atol=1e-12))


def _constant(values: Floats) -> NDArray[np.bool_]:
    """[...] Whether values [..., n] are equal."""
    return np.asarray(np.isclose(values, values[..., :1], rtol=1e-12, atol=1e-12).all(axis=-1))


def difference_std(sample: Sample, baseline: Sample) -> float:
    """Standard deviation of the difference of two cells on one seed; unpaired cells count as independent."""
    seeds = shared_seeds(sample, baseline)
    if seeds is None:
        return float(np.hypot(summarize(sample.values).std, summarize(baseline.values).std))
    return summarize(sample.at(seeds) - baseline.at(seeds)).std


def minimum_detectable_difference(std: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true difference that a two-sided paired t-test finds with the given power; exact (noncentral t).

    Args:
        std: standard deviation of the paired differences.
        n: pairs; NaN is returned below 2.
    """
    from statsmodels.stats.power import TTestPower

    if n < 2 or not math.isfinite(std):
        return NAN
    effect = TTestPower().solve_power(nobs=n, alpha=alpha / 2, power=power, alternative="larger")
    return float(effect) * std


def minimum_rank_test_p(n: int) -> float:
    """Smallest two-sided p-value that a paired rank or sign test on n pairs can reach: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - n))


def bold_cells(samples: Sequence[Sample], *, higher_is_better: bool = True, alpha: float = 0.05) -> list[bool]:
    """Which cells of a column are printed bold.

    The best mean always (and equal ones). Beside it, what is not significantly worse (paired where possible, two-sided,
    uncorrected), but only where the comparison rests on five seeds or more: with three, this would embolden most of the
    truly worse methods. A lone seed is not the best beside cells with several, and a single cell has no rival.
    """
    known = [sample for sample in samples if sample.n]
    if len(known) < 2:
        return [False] * len(samples)
    best = best_sample(known, higher_is_better=higher_is_better)
    comparisons = compare_all([(sample, best) for sample in samples])
    return [_is_bold(sample, best, result, alpha) for sample, result in zip(samples, comparisons, strict=True)]


def second_best(samples: Sequence[Sample], *, higher_is_better: bool = True) -> list[bool]:
    """Which cells have the second best mean (equal ones too); none where fewer than three have a value.

    As with the best, a lone seed does not count beside cells with several.
    """
    known = [sample for sample in samples if sample.n]
    if len(known) < 3:
        return [False] * len(samples)
    best = best_sample(known, higher_is_better=higher_is_better)
    rest = [sample for sample in known if not _equal(sample.mean, best.mean)]
    second = [best_sample(rest, higher_is_better=higher_is_better)] if rest else []
    return [any(sample.n and _equal(sample.mean, each.mean) for each in second) for sample in samples]


def _is_bold(sample: Sample, best: Sample, comparison: Comparison, alpha: float) -> bool:
    if sample.n and _equal(sample.mean, best.mean):
        return True
    return comparison.n >= GENEROUS_FROM and comparison.p_value >= alpha


def best_sample(samples: Sequence[Sample], *, higher_is_better: bool = True) -> Sample:
    """The best mean; a lone seed counts only where nothing was repeated, or where the seed does not matter."""
    sign = 1.0 if higher_is_better else -1.0
    repeated = [sample for sample in samples if sample.n > 1 or sample.shared]
    return max(repeated or samples, key=lambda sample: sign * sample.mean)
