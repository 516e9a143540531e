"""How many seeds a difference takes to be seen, and what a number of seeds can show."""

import math

import numpy as np

from analysis.statistics.summaries import NAN

MOST_SEEDS = 1000
"""Beyond this a difference is not worth settling with more seeds."""


def seeds_needed(difference: float, std: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Pairs with which a two-sided paired t-test finds a true difference with the given power; exact (noncentral t).

    The test's other side, which would find the opposite, adds less than alpha / 1000 to such a power and is left out.

    Args:
        std: standard deviation of the paired differences.

    Returns:
        None where it takes more than 1000, or cannot be said.
    """
    from statsmodels.stats.power import TTestPower

    if not math.isfinite(difference) or not math.isfinite(std) or difference == 0 or std <= 0 or alpha <= 0:
        return None
    pairs = np.arange(2, MOST_SEEDS + 1)
    reached = TTestPower().power(abs(difference) / std, pairs, alpha / 2, alternative="larger") >= power
    return int(pairs[np.argmax(reached)]) if reached.any() else None


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
