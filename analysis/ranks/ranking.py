"""Ranks of methods over several datasets, with their tests."""

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.cells import Floats, cell_samples, choose_cells, planned_cells
from analysis.labels import enumeration, setting_text
from analysis.loading import Results
from analysis.metrics import find_metric
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    import pandas as pd

FEWEST_DATASETS = 6


@dataclass(frozen=True)
class RankTest:
    """Ranks of methods over datasets (J. Demšar, JMLR 7, 2006).

    Attributes:
        ranks: mean rank of each method, best first; 1 is the best, ties share.
        statistic, p_value: Friedman's test, corrected for ties, that all methods are alike.
        critical_difference: of mean ranks, after Nemenyi, at `alpha`.
        nemenyi: p-values of all pairs.
        wilcoxon: p-values of signed-rank tests of all pairs, after Holm over the pairs.
    """

    datasets: int
    ranks: "pd.Series[float]"
    statistic: float
    p_value: float
    critical_difference: float
    nemenyi: "pd.DataFrame"
    wilcoxon: "pd.DataFrame"
    alpha: float = 0.05

    @property
    def alike(self) -> list[tuple[str, ...]]:
        """Largest groups in rank that the critical difference does not tell apart: the bars of a diagram."""
        names, values = list(self.ranks.index), self.ranks.to_numpy()
        ends = [int((values - start <= self.critical_difference).nonzero()[0].max()) for start in values]
        groups = [tuple(names[start : end + 1]) for start, end in enumerate(ends)]
        covered = [end > start and (start == 0 or ends[start - 1] < end) for start, end in enumerate(ends)]
        return [group for group, largest in zip(groups, covered, strict=True) if largest]


def score_matrix(results: Results, *, metric: str = "map_at_r", best: str | None = None) -> "pd.DataFrame":
    """Mean over seeds, in the shown unit: a row per dataset, a column per method and setting; NaN where there is none.

    Args:
        best: a validation metric: one setting per method and dataset, chosen by that metric's mean.

    Raises:
        DmlStudyError: a metric that no run has, or two studies with the same method on the same dataset.
    """
    import pandas as pd

    found = find_metric(metric, set(results.replicates.columns))
    samples = cell_samples(results.replicates, found.column, factor=found.factor)
    planned = planned_cells(results)
    cells = planned if best is None else choose_cells(planned, results.replicates, best).cells
    scores: dict[str, dict[str, float]] = {}
    for cell in cells:
        setting = setting_text(dict(cell.axes)) if best is None else cell.reading or ""
        column = scores.setdefault(f"{cell.method} ({setting})" if setting else cell.method, {})
        if cell.dataset in column:
            raise DmlStudyError(f"'{cell.method}' on {cell.dataset} is in several of these studies; load one of them")
        column[cell.dataset] = samples[cell.key].mean if cell.key in samples else math.nan
    return pd.DataFrame(scores)


def rank_test(scores: "pd.DataFrame", *, higher_is_better: bool = True, alpha: float = 0.05) -> RankTest:
    """Friedman's test and what follows it.

    Args:
        scores: [datasets, methods], as of `score_matrix`.

    Raises:
        DmlStudyError: fewer than six datasets or three methods, or numbers are missing.
    """
    import pandas as pd
    import scikit_posthocs as posthocs
    from scipy import stats

    _check(scores)
    signed = scores.astype(float) * (1.0 if higher_is_better else -1.0)
    ranks = signed.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    values = signed.to_numpy()
    statistic, p_value = stats.friedmanchisquare(*values.T)
    methods = scores.columns
    nemenyi = np.asarray(posthocs.posthoc_nemenyi_friedman(values), dtype=float)
    return RankTest(
        datasets=len(scores),
        ranks=ranks,
        statistic=float(statistic),
        p_value=float(p_value),
        critical_difference=critical_difference(scores.shape[1], len(scores), alpha=alpha),
        nemenyi=pd.DataFrame(nemenyi, index=methods, columns=methods),
        wilcoxon=pd.DataFrame(_wilcoxon(values), index=methods, columns=methods),
        alpha=alpha,
    )


def _check(scores: "pd.DataFrame") -> None:
    datasets, methods = scores.shape
    if datasets < FEWEST_DATASETS:
        raise DmlStudyError(
            f"ranks over {datasets} dataset{'s' * (datasets != 1)} tell methods apart by chance alone: tests over "
            f"datasets and their diagram need {FEWEST_DATASETS} or more, all of them independent"
        )
    if methods < 3:
        raise DmlStudyError("ranks need three methods or more; two are compared by `compare`")
    lacking = [str(name) for name in scores.columns[scores.isna().any()]]
    if lacking:
        raise DmlStudyError(f"ranks need a number for every method on every dataset; missing: {enumeration(lacking)}")


def critical_difference(methods: int, datasets: int, *, alpha: float = 0.05) -> float:
    """Nemenyi's: mean ranks that differ by more are significantly different."""
    from scipy import stats

    quantile = float(stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * datasets))


def _wilcoxon(values: Floats) -> Floats:
    """[M, M] p-values; 1 for methods that never differ."""
    import scikit_posthocs as posthocs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of such methods
        table = np.asarray(posthocs.posthoc_wilcoxon(values.T.tolist(), p_adjust="holm"), dtype=float)
    return np.where(np.isnan(table), 1.0, table)
