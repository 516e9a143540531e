"""How large a difference is beside the spread over seeds."""

import math
from dataclasses import dataclass

import numpy as np

from analysis.cells import Floats
from analysis.statistics.summaries import NAN


@dataclass(frozen=True)
class Effect:
    """Hedges' g: a difference in standard deviations, without the bias of few values; NaN where there is no spread.

    Attributes:
        low, high: 95 % interval.
    """

    g: float
    low: float
    high: float


NO_EFFECT = Effect(NAN, NAN, NAN)


def paired_effect(differences: Floats, *, confidence: float = 0.95) -> Effect:
    """In standard deviations of the paired differences [n]; the interval is exact, from the noncentral t."""
    from scipy import special

    n = len(differences)
    std = float(differences.std(ddof=1)) if n > 2 else 0.0
    if std <= 1e-12:
        return NO_EFFECT
    t, df = float(differences.mean()) / std * math.sqrt(n), n - 1
    tails = np.array([(1 + confidence) / 2, (1 - confidence) / 2])
    low, high = special.nctdtrinc(df, tails, t) / math.sqrt(n)
    unbiased = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return Effect(unbiased * t / math.sqrt(n), float(low), float(high))


def unpaired_effect(first: Floats, second: Floats, *, confidence: float = 0.95) -> Effect:
    """In pooled standard deviations of two groups; the interval is approximate (normal)."""
    from scipy import stats
    from statsmodels.stats.meta_analysis import effectsize_smd

    sizes = len(first), len(second)
    if min(sizes) < 2 or math.hypot(first.std(), second.std()) <= 1e-12:
        return NO_EFFECT
    g, variance = effectsize_smd(first.mean(), first.std(ddof=1), sizes[0], second.mean(), second.std(ddof=1), sizes[1])
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt(variance)
    return Effect(float(g), float(g) - reach, float(g) + reach)
