"""Intervals over test classes."""

import math
from typing import Any

import numpy as np
import pytest
from study_in_memory import Study

from analysis.class_intervals import (
    NO_INTERVAL,
    ClassScores,
    ClassTable,
    Interval,
    bootstrap_interval,
    class_interval,
    over_both,
)
from analysis.samples import Sample
from analysis.statistics import compare_all

QUERIES = [2, 6, 4, 4, 8, 16]


def study_with_classes(*, queries: list[int] = QUERIES, folds: int = 1) -> Study:
    """Two cells whose metric is made up of six test classes; the second is better by 0.1 on the last ones."""
    rng = np.random.default_rng(5)
    study = Study(seeds=(0, 1), folds=folds)
    base = rng.uniform(0.2, 0.6, size=(2 * folds, len(queries)))
    for index, values in enumerate((base, base + np.array([0, 0, 0, 0.1, 0.1, 0.1]))):
        means = [float(np.average(row, weights=queries)) for row in values]
        study.add("ab"[index], {"test_map_at_r": means}, baseline=0 if index else None)
        study.add_classes(index, values.tolist(), queries)
    return study


def table_of(study: Study) -> ClassTable:
    return ClassTable(study.results(), "test_map_at_r", factor=100.0)


@pytest.mark.parametrize("folds", [1, 3])
def test_weighted_mean_of_the_classes_is_the_metric(folds: int) -> None:
    study = study_with_classes(folds=folds)
    scores = table_of(study).scores(("made-up", 1), [0, 1])
    assert scores is not None
    runs = study.results().replicates
    mean = 100 * runs.loc[runs["cell"] == 1, "test_map_at_r"].mean()
    assert scores.mean == pytest.approx(mean)
    assert scores.queries.tolist() == QUERIES


def test_only_the_wanted_seeds_count() -> None:
    study = study_with_classes()
    one = table_of(study).scores(("made-up", 0), [1])
    assert one is not None
    assert one.values == pytest.approx([100 * row["map_at_r"] for row in study.classes[6:12]])


def test_a_metric_that_the_classes_do_not_make_up_has_no_interval() -> None:
    study = study_with_classes()
    study.runs["0000000000000000"]["test_map_at_r"] += 0.01
    assert table_of(study).scores(("made-up", 0), [0, 1]) is None
    assert table_of(study).scores(("made-up", 0), [1]) is not None


def test_a_run_without_classes_or_with_others_leaves_none() -> None:
    study = study_with_classes()
    study.classes = study.classes[6:]
    assert table_of(study).scores(("made-up", 0), [0, 1]) is None
    study.classes = study.classes[:-1]
    assert table_of(study).scores(("made-up", 1), [0, 1]) is None


@pytest.mark.parametrize("column", ["val_map_at_r", "test_recall_at_7", "wall_seconds"])
def test_what_has_no_classes_reads_none(column: str) -> None:
    assert ClassTable(study_with_classes().results(), column).scores(("made-up", 0), [0]) is None


def test_difference_over_the_same_classes() -> None:
    table = table_of(study_with_classes())
    first, second = (table.scores(("made-up", index), [0, 1]) for index in (0, 1))
    interval = class_interval(second, first)
    expected = 10 * (4 + 8 + 16) / 40
    assert interval.n == 6
    assert 0 <= interval.low < expected < interval.high <= 10 + 1e-9
    assert class_interval(second, None) == NO_INTERVAL


def test_different_classes_are_not_compared() -> None:
    one = ClassScores(tuple(range(6)), np.arange(6.0), np.ones(6))
    assert class_interval(one, ClassScores(tuple(range(1, 7)), np.arange(6.0), np.ones(6))) == NO_INTERVAL
    assert class_interval(one, ClassScores(one.classes, one.values, 2 * np.ones(6))) == NO_INTERVAL


def test_few_classes_tell_nothing_and_equal_ones_everything() -> None:
    assert math.isnan(bootstrap_interval(np.arange(4.0), np.ones(4)).low)
    assert bootstrap_interval(np.full(6, 1.5), np.arange(1.0, 7.0)) == Interval(1.5, 1.5, 6)


def test_the_same_data_give_the_same_interval_and_heavy_classes_count_more() -> None:
    values = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    even = bootstrap_interval(values, np.ones(10))
    heavy = bootstrap_interval(values, np.where(values > 0, 50.0, 1.0))
    assert even == bootstrap_interval(values, np.ones(10))
    assert heavy.high > even.high


def coverage(classes: int, repetitions: int) -> float:
    """Of skewed differences with uneven classes, whose mean is 1."""
    rng = np.random.default_rng(classes)
    queries = rng.integers(5, 60, size=(repetitions, classes)).astype(float)
    values = rng.normal(size=queries.shape) + rng.exponential(size=queries.shape)
    intervals = [bootstrap_interval(*row) for row in zip(values, queries, strict=True)]
    return float(np.mean([each.low <= 1 <= each.high for each in intervals]))


@pytest.mark.parametrize(("classes", "least", "most"), [(5, 0.86, 0.94), (10, 0.91, 0.97), (20, 0.92, 0.97)])
def test_coverage_is_what_the_documentation_says(classes: int, least: float, most: float) -> None:
    assert least <= coverage(classes, 500) <= most


@pytest.mark.slow
@pytest.mark.parametrize("classes", [10, 20, 50, 100])
def test_coverage_over_many_repetitions(classes: int) -> None:
    assert coverage(classes, 4000) == pytest.approx(0.945, abs=0.012)


def test_an_interval_over_both_covers_where_those_over_one_do_not() -> None:
    """Five seeds by thirty classes, both drawn anew each time; the true difference is 0."""
    rng, seeds, classes, repetitions = np.random.default_rng(2), 5, 30, 300
    noise = rng.normal(size=(repetitions, seeds, classes)) / 2
    cube = rng.normal(size=(repetitions, seeds, 1)) / 2 + rng.normal(size=(repetitions, 1, classes)) + noise
    compared = compare_all([(_sample(values.mean(axis=1)), _sample(np.zeros(seeds))) for values in cube])
    over_classes = [bootstrap_interval(values.mean(axis=0), np.ones(classes)) for values in cube]
    pairs = list(zip(compared, over_classes, strict=True))
    covered = [over_both(one.difference, one, other) for one, other in pairs]
    assert _share(compared) < 0.93
    assert _share(over_classes) < 0.9
    assert _share(covered) > 0.93


def _sample(values: Any) -> Sample:
    return Sample(dict(enumerate(map(float, values))), {seed: f"{seed}-{id(values)}" for seed in range(len(values))})


def _share(intervals: Any) -> float:
    return float(np.mean([each.low <= 0 <= each.high for each in intervals]))
