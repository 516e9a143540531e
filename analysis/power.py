"""How many seeds a difference takes to be seen."""

import math

import numpy as np

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
