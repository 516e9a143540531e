"""Intervals over test classes."""

import math

import numpy as np
import pytest
from study_in_memory import Study

from analysis.statistics.class_intervals import (
    NO_INTERVAL,
    ClassScores,
    ClassTable,
    Interval,
    bootstrap_interval,
    class_interval,
)

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
