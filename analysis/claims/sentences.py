"""One comparison in plain words."""

from math import isfinite, log10

from analysis.claims.model import Tested
from analysis.metrics import Metric
from analysis.statistics import MOST_SEEDS, Comparison
from analysis.statistics.class_intervals import Interval


def sentence(tested: Tested, *, family: int) -> str:
    """ "PS improves MAP@R over the baseline by 1.20 points (glyphs), 95 % interval 0.70 to 1.70 (0.30 to 2.10 over test
    classes), 8 paired seeds, p = 0.003 after Holm."

    Args:
        family: number of comparisons that Holm's correction is over.
    """
    return f"{_FINDINGS[tested.verdict](tested)}{_evidence(tested, family)}{_power(tested)}."


def _improves(tested: Tested) -> str:
    first, second = _names(tested)
    return f"{first} improves {tested.metric.label} over {second} by {_size(tested)} ({tested.place})"


def _worsens(tested: Tested) -> str:
    first, second = _names(tested)
    return f"{first} is worse than {second} in {tested.metric.label} by {_size(tested)} ({tested.place})"


def _equal(tested: Tested) -> str:
    first, second = _names(tested)
    what = f"{tested.metric.label} but for what is negligible"
    return f"{first} and {second} are equal in {what} ({tested.place}): {_difference(tested)}"


def _open(tested: Tested) -> str:
    first, second = _names(tested)
    return f"{first} cannot be told from {second} in {tested.metric.label} ({tested.place}): {_difference(tested)}"


def _same(tested: Tested) -> str:
    first, second = _names(tested)
    seeds = f"on all {tested.comparison.n} seeds"
    return f"{first} and {second} have the same {tested.metric.label} {seeds} ({tested.place})"


def _untested(tested: Tested) -> str:
    first, second = _names(tested)
    why = "one seed, which decides nothing" if tested.comparison.n < 2 else "without a spread to test it against"
    return f"{first} against {second} in {tested.metric.label} ({tested.place}): {_difference(tested)}; {why}"


def _missing(tested: Tested) -> str:
    first, second = _names(tested)
    lacking = [name for name, each in ((first, tested.first), (second, tested.second)) if not each.n]
    none = f"no value of {' and of '.join(lacking)} yet"
    return f"{first} against {second} in {tested.metric.label} ({tested.place}): {none}"


_FINDINGS = {
    "better": _improves,
    "worse": _worsens,
    "equal": _equal,
    "open": _open,
    "same": _same,
    "untested": _untested,
    "missing": _missing,
}


def _names(tested: Tested) -> tuple[str, str]:
    """In quotes where a comma would cut the sentence."""
    first, second = (f"'{name}'" if "," in name else name for name in (tested.claim.better, tested.claim.worse))
    return first, second


def _size(tested: Tested) -> str:
    return number(abs(tested.comparison.difference), _decimals(tested)) + _unit(tested.metric)


def _difference(tested: Tested) -> str:
    value = tested.comparison.difference
    return f"difference {'+' * (value > 0)}{number(value, _decimals(tested))}{_unit(tested.metric)}"


def _unit(metric: Metric) -> str:
    return {"%": " points", "": ""}.get(metric.unit, f" {metric.unit}")


def _evidence(tested: Tested, family: int) -> str:
    compared = tested.comparison
    if not isfinite(compared.p_value) or tested.verdict in ("same", "untested", "missing"):
        return ""
    paired = f"{compared.n} paired seeds"
    seeds = paired if compared.paired else f"{tested.first.n} and {tested.second.n} unpaired seeds"
    classes = f" ({_span(tested, tested.classes)} over test classes)" if isfinite(tested.classes.low) else ""
    return f", 95 % interval {_span(tested, compared)}{classes}, {seeds}, {_p_text(tested, family)}"


def _span(tested: Tested, interval: Comparison | Interval) -> str:
    """Turned as the difference is told: the size of a gain or loss is positive."""
    turned = tested.verdict in ("better", "worse") and tested.comparison.difference < 0
    low, high = (-interval.high, -interval.low) if turned else (interval.low, interval.high)
    return f"{number(low, _decimals(tested))} to {number(high, _decimals(tested))}"


def _p_text(tested: Tested, family: int) -> str:
    if tested.look is not None:
        return (
            f"p = {p_number(tested.p_value)} at level {tested.level:.2g} of the look after {tested.look['seeds']} seeds"
        )
    if family == 1:
        return f"p = {p_number(tested.p_holm)}"
    alone = tested.comparison.p_value
    before = f" ({p_number(alone)} before)" if alone <= tested.level < tested.p_holm else ""
    return f"p = {p_number(tested.p_holm)} after Holm{before}"


def _power(tested: Tested) -> str:
    """How many more seeds would settle it; nothing where the difference is too small to be shown."""
    visible = round(tested.comparison.difference, tested.metric.decimals) != 0 if tested.comparison.n else False
    if tested.verdict != "open" or tested.comparison.n < 3 or not visible or not isfinite(tested.detectable):
        return ""
    if tested.seeds_needed is None:
        return f"; a difference of this size would take more than {MOST_SEEDS} seeds to show"
    if not tested.more_seeds:
        return "; with so many seeds, a true difference of this size shows in four of five studies"
    more = f"{tested.more_seeds} more seed{'s' * (tested.more_seeds > 1)} ({tested.seeds_needed} in all)"
    return f"; if the true difference is this large, {more} would show it in four of five studies"


def _decimals(tested: Tested) -> int:
    """The metric's; more where difference and interval would all be zeros."""
    compared = tested.comparison
    largest = max(abs(value) for value in (compared.difference, compared.low, compared.high, 0.0) if isfinite(value))
    shown = tested.metric.decimals
    return shown if not largest or largest >= 10**-shown else 1 - int(log10(largest) // 1)


def number(value: float, decimals: int) -> str:
    """ "−0.12"; zero has no sign."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")


def p_number(value: float) -> str:
    """ "0.003", "0.12"; nothing below 0.0001."""
    return f"{value:.2g}" if value >= 0.0001 else "0.0001 at most"
