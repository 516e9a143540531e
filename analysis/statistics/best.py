"""Which cells of a column are set off as the best ones."""

from collections.abc import Sequence

from analysis.cells import Sample
from analysis.statistics.comparisons import Comparison, compare_all, equal

GENEROUS_FROM = 5
"""Number of seeds from which everything that is not significantly worse than the best may be bold."""


def bold_cells(samples: Sequence[Sample], *, higher_is_better: bool = True, alpha: float = 0.05) -> list[bool]:
    """Which cells of a column are printed bold.

    The best mean always (and equal ones). Beside it, what is not significantly worse (paired where possible, two-sided,
    uncorrected), but only where the comparison rests on five seeds or more: with three, this would embolden most of the
    truly worse methods. A lone seed is not the best beside cells with several, and a single cell has no rival.
    """
    known = [sample for sample in samples if sample.n]
    if len(known) < 2:
        return [False] * len(samples)
    best = best_sample(known, higher_is_better=higher_is_better)
    comparisons = compare_all([(sample, best) for sample in samples])
    return [_is_bold(sample, best, result, alpha) for sample, result in zip(samples, comparisons, strict=True)]


def second_best(samples: Sequence[Sample], *, higher_is_better: bool = True) -> list[bool]:
    """Which cells have the second best mean (equal ones too); none where fewer than three have a value.

    As with the best, a lone seed does not count beside cells with several.
    """
    known = [sample for sample in samples if sample.n]
    if len(known) < 3:
        return [False] * len(samples)
    best = best_sample(known, higher_is_better=higher_is_better)
    rest = [sample for sample in known if not equal(sample.mean, best.mean)]
    second = [best_sample(rest, higher_is_better=higher_is_better)] if rest else []
    return [any(sample.n and equal(sample.mean, each.mean) for each in second) for sample in samples]


def _is_bold(sample: Sample, best: Sample, comparison: Comparison, alpha: float) -> bool:
    if sample.n and equal(sample.mean, best.mean):
        return True
    return comparison.n >= GENEROUS_FROM and comparison.p_value >= alpha


def best_sample(samples: Sequence[Sample], *, higher_is_better: bool = True) -> Sample:
    """The best mean; a lone seed counts only where nothing was repeated, or where the seed does not matter."""
    sign = 1.0 if higher_is_better else -1.0
    repeated = [sample for sample in samples if sample.n > 1 or sample.shared]
    return max(repeated or samples, key=lambda sample: sign * sample.mean)
