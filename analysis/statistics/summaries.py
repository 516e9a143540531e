"""Mean, standard deviation and interval of one cell: thin calls into scipy.

What every table needs comes from `scipy.special`: to import `scipy.stats` takes longer than the table of 10,000 runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from analysis.cells import Floats

NAN = float("nan")


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation (ddof = 1) and t-interval of n values; NaN where n is too small."""

    n: int
    mean: float
    std: float
    low: float
    high: float


@cache
def t_quantile(confidence: float, df: int) -> float:
    """Half the width of a two-sided interval, in standard errors."""
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


def known_summary(n: int, mean: float, std: float, *, confidence: float = 0.95) -> Summary:
    """The summary of values of which only these are known; no interval below two values or without a deviation."""
    if n < 2 or not math.isfinite(std):
        return Summary(n, mean, std, NAN, NAN)
    reach = t_quantile(confidence, n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - reach, mean + reach)
