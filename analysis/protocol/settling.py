"""Claims that decided how many seeds were trained, in words."""

from collections.abc import Mapping
from typing import Any

from analysis.labels import enumeration
from analysis.metrics import describe

Record = Mapping[str, Any]

_FUNCTIONS = {"pocock": "Pocock", "obrien_fleming": "O'Brien and Fleming"}


def is_settled(comparison: Record) -> bool:
    """Whether a comparison of a plan's record needs no more seeds."""
    return bool(comparison["looks"]) and comparison["looks"][-1]["verdict"] != "open"


def standing(comparison: Record) -> str:
    """ "settled as better after 5 seeds (+1.20 points, 98.8 % interval +0.40 to +2.00, p = 0.003)"."""
    if not comparison["looks"]:
        return "not tested yet"
    last = comparison["looks"][-1]
    verdict = "open" if last["verdict"] == "open" else f"settled as {last['verdict']}"
    return f"{verdict} after {last['seeds']} seeds ({_numbers(last, comparison['metric'])})"


def settling_note(record: Record) -> str:
    """What a reader of the table must know: the rule, what it found, and what it does to means."""
    comparisons, looks = record["comparisons"], ", ".join(str(count) for count in record["looks"])
    settled = [f"{each['title']} {standing(each)}" for each in comparisons if is_settled(each)]
    texts = [
        f"Seeds were added until claims were settled: paired t-tests after {looks} seeds, {100 * record['alpha']:g} % "
        f"error for all tests of {len(comparisons)} comparisons, spent after {_FUNCTIONS[record['spending']]}",
        f"equal: the interval lies within ±{record['negligible']:g}" if record["negligible"] else "",
        enumeration(settled, limit=6),
        f"not settled: {len(comparisons) - len(settled)} of {len(comparisons)}"
        if len(settled) < len(comparisons)
        else "",
        "a difference that ends a study early is larger than the true one on average" if settled else "",
    ]
    return f"{'. '.join(text[0].upper() + text[1:] for text in texts if text)}."


def _numbers(look: Record, metric: str) -> str:
    if look["p_value"] is None:
        return f"{look['n']} pairs, no test possible"
    shown = describe(f"test_{metric}")
    difference, low, high = (
        f"{shown.factor * look[key]:+.{shown.decimals}f}".replace("-", "−") for key in ("difference", "low", "high")
    )
    unit = " points" if shown.unit == "%" else ""
    percent = 100 * (1 - look["level"])
    return f"{difference}{unit}, {percent:.4g} % interval {low} to {high}, p = {look['p_value']:.2g}"
