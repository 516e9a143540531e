"""One look at one comparison: a paired t-test on the seeds so far, at the level that this look may cost."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["better", "worse", "equal", "open"]


@dataclass(frozen=True)
class Look:
    """What a look found.

    Attributes:
        seeds: after how many of them; n: pairs with a value on both sides.
        level: of the two-sided test, and of the interval from `low` to `high`.
        difference: mean of the pairs, first method minus second, in the metric's own unit.
        p_value: None where the pairs have no spread or are fewer than two.
        verdict: better or worse: the difference is significant at the level; equal: the interval lies within what the
            spec calls negligible; open: more seeds are needed, or there are none left.
    """

    seeds: int
    n: int
    level: float
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    verdict: Verdict

    def record(self) -> dict[str, Any]:
        return asdict(self)


def look(
    better: Mapping[int, float],
    worse: Mapping[int, float],
    *,
    seeds: int,
    level: float,
    negligible: float | None,
    lower_is_better: bool,
) -> Look:
    """Tests one comparison.

    Args:
        better, worse: the metric by seed, without seeds that have none.
        seeds: number of seeds that were trained for this look.
        level: of the test; 0 tests nothing.
        negligible: a difference that does not matter; None where every one does.
        lower_is_better: of the metric.
    """
    differences = [better[seed] - worse[seed] for seed in better if seed in worse]
    n = len(differences)
    mean = math.fsum(differences) / n if n else None
    if mean is None or n < 2 or level <= 0 or _constant(differences):
        return Look(seeds, n, level, mean, None, None, None, "open")
    low, high, p_value = _t_test(differences, level)
    verdict: Verdict = "open"
    if p_value <= level:
        verdict = "worse" if (mean < 0) != lower_is_better else "better"
    elif negligible is not None and -negligible <= low and high <= negligible:
        verdict = "equal"
    return Look(seeds, n, level, mean, low, high, p_value, verdict)


def _constant(values: list[float]) -> bool:
    """No test knows how sure a difference is that does not vary."""
    return max(values) - min(values) <= 1e-12


def _t_test(differences: list[float], level: float) -> tuple[float, float, float]:
    from scipy import stats

    test = stats.ttest_1samp(differences, 0.0)
    interval = test.confidence_interval(1 - level)
    return float(interval.low), float(interval.high), float(test.pvalue)
