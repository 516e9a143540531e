"""What was found of each comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from analysis.cells import PlannedCell
from analysis.claims.pairs import Claim
from analysis.labels import setting_text
from analysis.metrics import Metric
from analysis.statistics import Comparison, Summary
from analysis.statistics.class_intervals import Interval
from analysis.statistics.effects import Effect

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["better", "worse", "equal", "open", "same", "untested", "missing"]
"""better, worse: significantly; equal: within what was called negligible; open: it cannot be told; same: the same
numbers on every seed; untested: there is no spread to test against; missing: one of the two has no value."""


@dataclass(frozen=True)
class Tested:
    """One comparison; numbers are in the unit that the metric is shown in.

    Attributes:
        first, second: the method said to be better, and the other one.
        comparison: first minus second, with its 95 % interval and uncorrected p-value.
        p_holm: after Holm over all comparisons of the report; NaN where seeds were trained until the claim was settled,
            or where there is no test.
        level: what the p-value that counts (`p_holm`, or in a settled claim the look's own) is held against.
        look: of a claim that seeds were trained for until it was settled: the last look; its verdict counts.
        wilcoxon: p-value of the signed-rank test on the same pairs, as a check; NaN where they are not paired.
        classes: interval of the difference over test classes; `both`: over seeds and test classes.
        std: of the difference on one seed.
        detectable: smallest true difference that so many seeds show in four of five studies.
        seeds_needed: for a difference as large as this one at that power; None where it cannot be said.
        doubts: why the data may not support what the numbers say.
        sentence: all of this in plain words.
    """

    claim: Claim
    better: PlannedCell
    worse: PlannedCell
    metric: Metric
    first: Summary
    second: Summary
    comparison: Comparison
    p_holm: float
    level: float
    look: Mapping[str, Any] | None
    verdict: Verdict
    wilcoxon: float
    effect: Effect
    classes: Interval
    both: Interval
    std: float
    detectable: float
    seeds_needed: int | None
    doubts: tuple[str, ...] = ()
    sentence: str = ""

    @property
    def study(self) -> str:
        return self.better.study

    @property
    def place(self) -> str:
        """ "glyphs, ratio 0.5": where in the table the two cells stand."""
        wide = max(self.better, self.worse, key=lambda cell: sum(value is not None for value in cell.axes.values()))
        return ", ".join(filter(None, [self.better.dataset, setting_text(dict(wide.axes))]))

    @property
    def p_value(self) -> float:
        """The one that counts."""
        if self.look is None:
            return self.p_holm
        return float("nan") if self.look["p_value"] is None else float(self.look["p_value"])

    @property
    def more_seeds(self) -> int | None:
        return None if self.seeds_needed is None else max(0, self.seeds_needed - self.comparison.n)


@dataclass(frozen=True)
class ClaimReport:
    """All comparisons, and what holds for all of them.

    Attributes:
        family: number of comparisons that Holm's correction is over.
    """

    comparisons: tuple[Tested, ...]
    family: int
    alpha: float
    notes: tuple[str, ...]

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per comparison."""
        from analysis.claims.rendering import frame

        return frame(self)

    def _repr_markdown_(self) -> str:
        from analysis.claims.rendering import render_claims

        return render_claims(self, "markdown")

    def _repr_html_(self) -> str:
        from analysis.claims.rendering import render_claims

        return render_claims(self, "html")
