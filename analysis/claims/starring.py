"""Stars of significant claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.cells import CellKey
from analysis.claims.checking import tested_claims
from analysis.claims.model import Tested
from analysis.loading import Results

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


@dataclass(frozen=True)
class ClaimStars:
    """The stars of a table's differences.

    Attributes:
        marks: (cell, cell that it is compared with, column of the metric) -> stars; in both directions.
        note: what they mean, as a footnote; empty without stars.
    """

    marks: Mapping[tuple[CellKey, CellKey, str], str]
    note: str

    def of(self, cell: CellKey, baseline: CellKey | None, column: str) -> str:
        return "" if baseline is None else self.marks.get((cell, baseline, column), "")


def claim_stars(results: Results, *, best: str | None = None) -> ClaimStars:
    """For tables: from the rows of runs alone, and nothing where no study claims anything.

    Args:
        best: what the table's settings are chosen by.
    """
    if not any(plan.get("claims") for plan in results.plans.values()):
        return ClaimStars({}, "")
    comparisons = tested_claims(results, best=best)
    marks: dict[tuple[CellKey, CellKey, str], str] = {}
    for each in comparisons:
        if found := stars(each):
            for cells in ((each.better.key, each.worse.key), (each.worse.key, each.better.key)):
                marks[(*cells, each.metric.column)] = found
    return ClaimStars(marks, star_note(comparisons) if marks else "")


def star_note(comparisons: Sequence[Tested]) -> str:
    """The footnote; empty where nothing was claimed."""
    claimed = [each for each in comparisons if each.claim.origin == "claimed"]
    if not claimed:
        return ""
    looked = any(each.look is not None for each in claimed)
    family = sum(each.look is None for each in comparisons)
    over = f"Holm over {family} comparison{'s' * (family != 1)}"
    holm = f"p < 0.05, ** p < 0.01, *** p < 0.001 (two-sided t-tests, {over})"
    texts = [*([holm] if family else []), *(["settled at the level of its last look"] if looked else [])]
    return f"Stars mark claims alone: * {'; or '.join(texts)}."
