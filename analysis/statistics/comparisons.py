"""Differences of two cells with their intervals and tests: thin calls into scipy (see `summaries` on `scipy.stats`)."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.cells import Floats, Sample
from analysis.statistics.summaries import NAN, Summary, summarize, t_quantile


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


def difference_std(sample: Sample, baseline: Sample) -> float:
    """Standard deviation of the difference of two cells on one seed; unpaired cells count as independent."""
    seeds = shared_seeds(sample, baseline)
    if seeds is None:
        return float(np.hypot(summarize(sample.values).std, summarize(baseline.values).std))
    return summarize(sample.at(seeds) - baseline.at(seeds)).std


def _paired(first: Floats, second: Floats, confidence: float) -> list[Comparison]:
    """One comparison per row of two arrays [m, n]; as `scipy.stats.ttest_rel` and its `confidence_interval`."""
    n, differences = first.shape[1], (first - second).mean(axis=1)
    if n < 2:
        return [Comparison(float(difference), NAN, NAN, NAN, n, paired=True) for difference in differences]
    error = (first - second).std(axis=1, ddof=1) / math.sqrt(n)
    reach = t_quantile(confidence, n - 1) * error
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
    p_value = float(equal(difference, 0.0))
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


def equal(first: float, second: float) -> bool:
    """Equal but for rounding: the same values, averaged in another order."""
    return bool(np.isclose(first, second, rtol=1e-12, atol=1e-12))


def _constant(values: Floats) -> NDArray[np.bool_]:
    """[...] Whether values [..., n] are equal."""
    return np.asarray(np.isclose(values, values[..., :1], rtol=1e-12, atol=1e-12).all(axis=-1))
