"""Intervals over test classes, beside those over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

from analysis.cells import EMPTY, CellKey, Sample, cell_samples
from analysis.claims.model import Tested
from analysis.loading import Results
from analysis.metrics import Metric
from analysis.statistics import shared_seeds
from analysis.statistics.class_intervals import NO_INTERVAL, ClassTable, class_interval, over_both


def with_classes(results: Results, comparisons: Sequence[Tested]) -> list[Tested]:
    """The comparisons with their intervals over test classes, where the ledger has what a metric is made up of."""
    metrics = {each.metric for each in comparisons if each.first.n and each.second.n}
    known = {metric: _Scores(results, metric) for metric in metrics}
    return [known[each.metric].added(each) if each.metric in known else each for each in comparisons]


class _Scores:
    def __init__(self, results: Results, metric: Metric) -> None:
        self._table = ClassTable(results, metric.column, factor=metric.factor)
        self._samples: Mapping[CellKey, Sample] = cell_samples(results.replicates, metric.column)

    def added(self, tested: Tested) -> Tested:
        """Classes are averaged over the seeds that the comparison is made on."""
        keys = (tested.better.key, tested.worse.key)
        first, second = (self._samples.get(key, EMPTY) for key in keys)
        if not first.n or not second.n:
            return tested
        shared = shared_seeds(first, second)
        seeds = [list(each.by_seed) if shared is None or each.shared else shared for each in (first, second)]
        classes = class_interval(*(self._table.scores(key, own) for key, own in zip(keys, seeds, strict=True)))
        compared = tested.comparison
        known = isfinite(classes.low) and isfinite(compared.low)
        both = over_both(compared.difference, compared, classes) if known else NO_INTERVAL
        return replace(tested, classes=classes, both=both)
