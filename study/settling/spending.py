"""When claims are looked at, and how much of the allowed error each look may cost."""

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist

from study.spec.model import UntilSettled


def looks(rule: UntilSettled, *, seeds: int) -> tuple[int, ...]:
    """Numbers of seeds after which claims are tested; the last one is all of them."""
    return (*range(rule.first, seeds, rule.every), seeds)


def level(rule: UntilSettled, *, fraction: float, comparisons: int, spent: float) -> float:
    """The level of one two-sided test: what may be spent by now, less what was spent before.

    The tests of all looks together err as often as their levels sum up to, however their statistics depend on each
    other (union bound), and comparisons share the error equally (Bonferroni). So the familywise error is at most
    `alpha` for t-tests of any few seeds, where boundaries made for normal statistics would not hold.

    Args:
        rule: alpha and its spending function.
        fraction: seeds at this look of all seeds.
        comparisons: among which the error is shared.
        spent: levels of earlier looks at this comparison.
    """
    return max(0.0, _SPENDING[rule.spending](rule.alpha / comparisons, fraction) - spent)


def _pocock(alpha: float, fraction: float) -> float:
    """About as much at every look: Lan and DeMets 1983, alpha ln(1 + (e - 1) t)."""
    return alpha * math.log(1 + (math.e - 1) * fraction)


def _obrien_fleming(alpha: float, fraction: float) -> float:
    """Very little early, almost all at the end: Lan and DeMets 1983, 2 - 2 Phi(z / sqrt(t))."""
    normal = NormalDist()
    return 2 - 2 * normal.cdf(normal.inv_cdf(1 - alpha / 2) / math.sqrt(fraction))


_SPENDING: Mapping[str, Callable[[float, float], float]] = {"pocock": _pocock, "obrien_fleming": _obrien_fleming}
