"""Methods over several datasets: ranks with their tests, and performance profiles. Numbers only; figures are drawn of
them."""

from analysis.ranks.profiles import performance_profile
from analysis.ranks.ranking import FEWEST_DATASETS, RankTest, critical_difference, rank_test, score_matrix

__all__ = [
    "FEWEST_DATASETS",
    "RankTest",
    "critical_difference",
    "performance_profile",
    "rank_test",
    "score_matrix",
]
