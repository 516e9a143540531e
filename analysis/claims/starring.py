"""Stars of significant claims."""

from math import isfinite

from analysis.claims.model import ClaimReport, Tested
from analysis.samples import CellKey

_LEVELS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


def stars(tested: Tested) -> str:
    """ "***", "**" or "*" of a claim whose difference, in either direction, is significant; else nothing.

    Only what was claimed before its seeds were trained gets stars. A claim that was settled early has one: its p-value
    is held against the look's own level, not against 1 % and 0.1 %.
    """
    if tested.claim.origin != "claimed" or tested.verdict not in ("better", "worse"):
        return ""
    if tested.look is not None:
        return "*"
    return next((marks for level, marks in _LEVELS if tested.p_holm <= level), "")


def stars_by_cell(report: ClaimReport) -> dict[tuple[CellKey, CellKey, str], str]:
    """(cell, cell that it is compared with, column of the metric) -> stars, in both directions."""
    found: dict[tuple[CellKey, CellKey, str], str] = {}
    for each in report.comparisons:
        if marks := stars(each):
            for cells in ((each.better.key, each.worse.key), (each.worse.key, each.better.key)):
                found[(*cells, each.metric.column)] = marks
    return found


def star_note(report: ClaimReport) -> str:
    """The footnote; empty where nothing was claimed."""
    claimed = [each for each in report.comparisons if each.claim.origin == "claimed"]
    if not claimed:
        return ""
    looked = any(each.look is not None for each in claimed)
    tested = any(isfinite(each.p_holm) for each in claimed)
    holm = f"p < 0.05, ** p < 0.01, *** p < 0.001 (two-sided t-tests, Holm over {report.family} comparisons)"
    texts = [holm] if tested or not looked else []
    texts += ["settled at the level of its last look"] if looked else []
    return f"Stars mark claims alone: * {'; or '.join(texts)}."
