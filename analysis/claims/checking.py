"""Tests all comparisons of some results."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.cells import EMPTY, CellKey, Sample, cell_samples
from analysis.claims.doubts import doubts, shared_notes
from analysis.claims.model import ClaimReport, Tested, Verdict
from analysis.claims.over_classes import with_classes
from analysis.claims.pairs import Pair, compared_pairs
from analysis.claims.sentences import sentence
from analysis.loading import Results
from analysis.metrics import Metric, describe
from analysis.statistics import (
    NAN,
    Comparison,
    compare_all,
    difference_std,
    minimum_detectable_difference,
    seeds_needed,
    shared_seeds,
    summarize,
)
from analysis.statistics.class_intervals import NO_INTERVAL
from analysis.statistics.effects import NO_EFFECT, Effect, paired_effect, unpaired_effect

_EPSILON = 1e-12


def check_claims(
    results: Results,
    *,
    claims: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    best: str | None = None,
    alpha: float = 0.05,
    negligible: float | None = None,
) -> ClaimReport:
    """Every comparison of the claims: test, intervals, effect, power, doubts and a sentence.

    Paired t-tests on the same seeds (Welch's where the seeds differ), corrected after Holm over all comparisons, those
    of several studies together; comparisons without a test count in it too. A claim that seeds were trained for until
    it was settled is decided by its last look, at the look's level.

    Args:
        results: one or several studies, finished or not.
        claims: "A > B on map_at_r", instead of those of the specs. Without either, all cells are compared with their
            baselines; that is an exploration, and gets no stars.
        metrics: compare all cells with their baselines on these, whatever is claimed.
        best: a validation metric, "val_map_at_r": one setting per method and dataset, chosen by that metric's mean.
        alpha: error that all comparisons together may have.
        negligible: a difference, in the shown unit (points), that does not matter: "equal" where the 95 % interval lies
            within it.

    Raises:
        DmlStudyError: a claim cannot be read, or compares nothing.
    """
    found = tested_claims(results, claims=claims, metrics=metrics, best=best, alpha=alpha, negligible=negligible)
    found = with_classes(results, found)
    family = sum(each.look is None for each in found)
    told = [replace(each, doubts=doubts(results, each, family=family, alpha=alpha)) for each in found]
    told = [replace(each, sentence=sentence(each, family=family)) for each in told]
    return ClaimReport(tuple(told), family, alpha, shared_notes(told, family=family, alpha=alpha))


def tested_claims(
    results: Results,
    *,
    claims: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    best: str | None = None,
    alpha: float = 0.05,
    negligible: float | None = None,
) -> list[Tested]:
    """The tests and verdicts of `check_claims`, from the rows of runs alone: no test classes, doubts and sentences."""
    pairs = compared_pairs(results, claims=claims, metrics=metrics, best=best)
    found = [each for column in _by_metric(pairs).items() for each in _measured(results, *column)]
    return _corrected(results, found, alpha, negligible)


def _by_metric(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(pair.claim.metric, []).append(pair)
    return found


def _measured(results: Results, name: str, pairs: Sequence[Pair]) -> list[Tested]:
    """Everything but what depends on the other comparisons."""
    columns = results.replicates.columns
    metric = describe(name if name in columns and f"test_{name}" not in columns else f"test_{name}")
    known = metric.column in columns
    samples = cell_samples(results.replicates, metric.column, factor=metric.factor) if known else {}
    both = [(samples.get(pair.better.key, EMPTY), samples.get(pair.worse.key, EMPTY)) for pair in pairs]
    compared = compare_all(both)
    return [
        _tested(pair, metric, each, comparison) for pair, each, comparison in zip(pairs, both, compared, strict=True)
    ]


def _tested(pair: Pair, metric: Metric, samples: tuple[Sample, Sample], comparison: Comparison) -> Tested:
    first, second = samples
    comparison = _honest(comparison)
    differences = _differences(first, second)
    std = difference_std(first, second) if comparison.n > 1 else NAN
    return Tested(
        claim=pair.claim,
        better=pair.better,
        worse=pair.worse,
        metric=metric,
        first=summarize(first.values),
        second=summarize(second.values),
        comparison=comparison,
        p_holm=NAN,
        level=NAN,
        look=None,
        verdict="missing",
        wilcoxon=_wilcoxon(differences),
        effect=_effect(first, second, differences),
        classes=NO_INTERVAL,
        both=NO_INTERVAL,
        std=std,
        detectable=minimum_detectable_difference(std, comparison.n) if std > _EPSILON else NAN,
        seeds_needed=None,
    )


def _honest(comparison: Comparison) -> Comparison:
    """A difference that is the same on all seeds, and not 0, leaves nothing to test with: it may be exact, or luck."""
    certain = comparison.low == comparison.high and comparison.n > 1
    if not certain or abs(comparison.difference) <= _EPSILON:
        return comparison
    return replace(comparison, low=NAN, high=NAN, p_value=NAN)


def _differences(first: Sample, second: Sample) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """[n] On the seeds that both have; empty where they are not paired."""
    seeds = shared_seeds(first, second) if first.n and second.n else []
    return first.at(seeds) - second.at(seeds) if seeds else np.empty(0)


def _wilcoxon(differences: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    from scipy import stats

    if len(differences) < 2 or np.ptp(differences) <= _EPSILON:
        return NAN
    return float(stats.wilcoxon(differences).pvalue)


def _effect(first: Sample, second: Sample, differences: "np.ndarray[Any, np.dtype[np.float64]]") -> Effect:
    if len(differences):
        return paired_effect(differences)
    return unpaired_effect(first.values, second.values) if first.n and second.n else NO_EFFECT


def _corrected(results: Results, found: list[Tested], alpha: float, negligible: float | None) -> list[Tested]:
    """With Holm's p-values, or the looks of settled claims, the verdicts, and the seeds that are needed."""
    looks = _looks(results)
    found = [replace(each, look=looks.get((each.better.key, each.worse.key, each.claim.metric))) for each in found]
    plain = [each for each in found if each.look is None]
    holm = iter(_holm([each.comparison.p_value for each in plain], alpha))
    found = [each if each.look is not None else replace(each, p_holm=next(holm)) for each in found]
    rejected = sum(each.look is None and each.p_holm <= alpha for each in found)
    left = alpha / max(1, len(plain) - rejected)
    return [_decided(each, alpha=alpha, left=left, negligible=negligible) for each in found]


def _holm(p_values: Sequence[float], alpha: float) -> list[float]:
    """What has no p-value, or none yet, keeps its place among the tests; NaN stays NaN."""
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return []
    filled = [1.0 if math.isnan(value) else value for value in p_values]
    corrected = multipletests(filled, alpha=alpha, method="holm")[1].tolist()
    return [NAN if math.isnan(value) else other for value, other in zip(p_values, corrected, strict=True)]


def _looks(results: Results) -> dict[tuple[CellKey, CellKey, str], Mapping[str, Any]]:
    """The last look at each comparison that decided how many seeds were trained."""
    found: dict[tuple[CellKey, CellKey, str], Mapping[str, Any]] = {}
    for study, plan in results.plans.items():
        for each in plan.get("settling", {}).get("comparisons", ()):
            if each["looks"]:
                better, worse = ((study, int(index)) for index in each["cells"])
                found[better, worse, each["metric"]] = each["looks"][-1]
    return found


def _decided(tested: Tested, *, alpha: float, left: float, negligible: float | None) -> Tested:
    look, compared = tested.look, tested.comparison
    level = alpha if look is None else float(look["level"])
    verdict: Verdict = _verdict(tested, alpha, negligible) if look is None else look["verdict"]
    unsure = verdict == "open" and compared.n > 2
    needed = seeds_needed(compared.difference, tested.std, alpha=left if look is None else level) if unsure else None
    return replace(tested, level=level, verdict=verdict, seeds_needed=needed)


def _verdict(tested: Tested, alpha: float, negligible: float | None) -> Verdict:
    compared, sign = tested.comparison, 1 if tested.metric.higher_is_better else -1
    if not tested.first.n or not tested.second.n:
        return "missing"
    if math.isnan(compared.p_value):
        return "untested"
    if compared.low == compared.high:
        return "same"
    if tested.p_holm <= alpha:
        return "better" if sign * compared.difference > 0 else "worse"
    within = negligible is not None and -negligible <= compared.low and compared.high <= negligible
    return "equal" if within else "open"
