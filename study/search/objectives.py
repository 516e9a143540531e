"""Quality against cost: which settings no other one beats in both, and which of them is chosen."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Traded(NamedTuple):
    """A setting of a search with two objectives: a score (larger is better) and a cost (smaller is better)."""

    score: float
    cost: float


def front(settings: Mapping[int, Traded]) -> list[int]:
    """Numbers of the settings that no other one beats (the Pareto front), the cheapest first; of equals the first."""
    found, highest = list[int](), -math.inf
    for number in sorted(settings, key=lambda number: (settings[number].cost, -settings[number].score, number)):
        if settings[number].score > highest and math.isfinite(settings[number].cost):
            highest = settings[number].score
            found.append(number)
    return found


def choice(settings: Mapping[int, Traded], *, tolerance: float) -> int | None:
    """The cheapest setting whose score is at most `tolerance` below the best one; of equally cheap ones the better one,
    of equals the first. None where there is none."""
    if not settings:
        return None
    least = max(setting.score for setting in settings.values()) - tolerance
    good = [number for number, setting in settings.items() if setting.score >= least]
    return min(good, key=lambda number: (settings[number].cost, -settings[number].score, number))


def mean(values: Sequence[float | None]) -> float | None:
    """NaN where a run failed or there is none; None as long as one is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return math.fsum(known) / len(known) if known and all(map(math.isfinite, known)) else math.nan


def is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)
