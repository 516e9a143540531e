"""Which scale suits the values of a compared parameter."""

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import Any

from analysis.plots.shared.charts import Scale
from analysis.plots.shared.selection import is_numeric


def scale_for(values: Sequence[Any]) -> Scale:
    """`log` for numbers whose ratios are more even than their steps (0.1, 1, 10), `symlog` where zero is among them."""
    if not is_numeric(values):
        return "names"
    positive = [float(value) for value in values if value > 0]
    if len(positive) < 3 or any(value < 0 for value in values):
        return "linear"
    if _unevenness([log(value) for value in positive]) >= _unevenness(positive):
        return "linear"
    return "symlog" if len(positive) < len(values) else "log"


def _unevenness(values: Sequence[float]) -> float:
    """Largest step over the smallest."""
    steps = [second - first for first, second in pairwise(values)]
    return max(steps) / min(steps)
