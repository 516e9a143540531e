"""Means, intervals and comparisons of cells; sizes of effects, intervals over classes and importances beside them."""

from analysis.statistics.best import GENEROUS_FROM, best_sample, bold_cells, second_best
from analysis.statistics.comparisons import (
    Comparison,
    compare,
    compare_all,
    compare_summaries,
    difference_std,
    shared_seeds,
)
from analysis.statistics.power import (
    MOST_SEEDS,
    minimum_detectable_difference,
    minimum_rank_test_p,
    seeds_needed,
)
from analysis.statistics.summaries import NAN, Summary, known_summary, summarize

__all__ = [
    "GENEROUS_FROM",
    "MOST_SEEDS",
    "NAN",
    "Comparison",
    "Summary",
    "best_sample",
    "bold_cells",
    "compare",
    "compare_all",
    "compare_summaries",
    "difference_std",
    "known_summary",
    "minimum_detectable_difference",
    "minimum_rank_test_p",
    "second_best",
    "seeds_needed",
    "shared_seeds",
    "summarize",
]
