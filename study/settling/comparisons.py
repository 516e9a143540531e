"""What claims compare: pairs of cells with the same place on the axes that they share."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.spec.spec import Claim
from trainables.claims import claimed_pairs

if TYPE_CHECKING:
    from study.plan.identity import Replicate
    from study.plan.plan import Cell


@dataclass(frozen=True)
class Comparison:
    """A claim in one place of the table.

    Attributes:
        better, worse: indices of the cells in the plan.
        title: "A > B on map_at_r (dataset=glyphs)".
        runs: replicates of both cells.
    """

    claim: Claim
    better: int
    worse: int
    title: str
    runs: "tuple[tuple[Replicate, ...], tuple[Replicate, ...]]"

    @property
    def column(self) -> str:
        return f"test_{self.claim.metric}"

    def key(self, first: Sequence[int]) -> str:
        """Content address: the metric, and the runs of both cells with the seeds of the first look."""
        ids = [replicate.run_id for runs in self.runs for replicate in until(runs, first)]
        return hashlib.sha256("\n".join([self.claim.metric, *ids]).encode()).hexdigest()[:16]


def until(replicates: "Sequence[Replicate]", seeds: Sequence[int]) -> "list[Replicate]":
    """The replicates of these seeds; all of them where the seed does not matter and one run stands for every seed."""
    if len({replicate.seed for replicate in replicates}) == 1:
        return list(replicates)
    return [replicate for replicate in replicates if replicate.seed in seeds]


def comparisons(claims: Sequence[Claim], cells: "Sequence[Cell]") -> list[Comparison]:
    """All pairs of cells that claims compare; a cell without a counterpart is in none."""
    found: dict[tuple[int, int, str], Comparison] = {}
    for claim in claims:
        for better, worse in _pairs(claim, cells):
            wide = max(cells[better], cells[worse], key=lambda cell: len(cell.axes))
            axes = ", ".join(f"{key}={value}" for key, value in wide.axes.items())
            title = f"{claim.better} > {claim.worse} on {claim.metric} ({axes})"
            runs = (cells[better].replicates, cells[worse].replicates)
            found.setdefault((better, worse, claim.metric), Comparison(claim, better, worse, title, runs))
    return list(found.values())


def _pairs(claim: Claim, cells: "Sequence[Cell]") -> list[tuple[int, int]]:
    """Each cell of the method with more axes, beside the other method's cell with the same values."""
    better, worse = (
        {index: cell.axes for index, cell in enumerate(cells) if cell.method == name}
        for name in (claim.better, claim.worse)
    )
    return claimed_pairs(better, worse)
