"""Metrics of continuous labels: their names, units and direction, wherever numbers are shown."""

from typing import get_args

import pytest
from study_in_memory import PROTOCOL, Study

from analysis.metrics import describe
from analysis.tables import comparison_table, render
from analysis.tables.formats.layout import lay_out
from trainables.metrics import best, lower_is_better, needs_targets, sign
from trainables.training.config import Metric

COLUMN = "test_label_distance_at_10"


def angles() -> Study:
    made = Study(protocol={**PROTOCOL, "select_by": "label_distance_at_10"})
    base = made.add("triplet", {COLUMN: [30.0, 31.0, 32.0], "test_ndcg_at_10": [0.8, 0.81, 0.82]})
    made.add("log-ratio", {COLUMN: [25.5, 26.5, 27.5], "test_ndcg_at_10": [0.9, 0.91, 0.92]}, baseline=base)
    made.add("worst", {COLUMN: [90.0, 90.0, 90.0], "test_ndcg_at_10": [0.5, 0.5, 0.5]}, baseline=base)
    return made


def test_label_distances_are_shown_as_they_are_and_the_lowest_is_bold() -> None:
    table = comparison_table(angles().results(), metrics=["label_distance_at_10", "ndcg_at_10"])
    layout = lay_out(table)
    assert [field.text for field in layout.fields] == [
        *("Method", "n", "Label distance@10", "Δ Label distance@10", "nDCG@10 (%)"),
    ]
    assert [row[2].text for row in layout.body] == ["31.00 ± 1.00", "26.50 ± 1.00", "90.00 ± 0.00"]
    assert [row[3].main for row in layout.body] == ["", "−4.50", "+59.00"]
    assert [row[4].text for row in layout.body] == ["81.00 ± 1.00", "91.00 ± 1.00", "50.00 ± 0.00"]
    assert [[row[index].bold for row in layout.body] for index in (2, 4)] == [[False, True, False]] * 2
    assert "(%) in percent" in table.footnotes[0], "not all of them are"
    assert "in the metric's unit" in "\n".join(table.footnotes)
    assert "26.50" in render(table, "latex")


def test_the_best_row_comes_first_and_is_chosen_where_small_is_good() -> None:
    results = angles().results()
    table = comparison_table(results, metrics=["label_distance_at_10"], sort="label_distance_at_10")
    assert [row.labels[0] for row in table.rows] == ["log-ratio", "triplet", "worst"]
    made = Study(axes=["dataset", "loss.margin"])
    made.add("a", {"val_label_distance_at_10": [9.0, 9.0], COLUMN: [1.0, 1.0]}, loss__margin=0.1)
    made.add("a", {"val_label_distance_at_10": [7.0, 7.0], COLUMN: [2.0, 2.0]}, loss__margin=0.2)
    chosen = comparison_table(made.results(), metrics=["label_distance_at_10"], best="val_label_distance_at_10")
    assert [row.labels for row in chosen.rows] == [("a", "0.2")]


def test_the_metric_that_selects_epochs_stands_in_the_table_by_default() -> None:
    columns = [column.metric.column for column in comparison_table(angles().results()).columns]
    assert columns == [COLUMN, "test_recall_at_1", "test_r_precision", "test_map_at_r"]


@pytest.mark.parametrize("metric", get_args(Metric))
def test_training_and_analysis_agree_on_what_is_better(metric: str) -> None:
    assert describe(f"test_{metric}").higher_is_better == (sign(metric) > 0) == (not lower_is_better(metric))
    assert best(metric, 0.2, 0.7) == (0.2 if metric == "label_distance_at_10" else 0.7)
    assert needs_targets(metric) == (metric in ("ndcg_at_10", "label_distance_at_10"))


def test_single_values_are_written_with_their_unit() -> None:
    assert describe("val_label_distance_at_10").text(31.256) == "31.26"
    assert describe("test_map_at_r").text(0.5) == "50.00 %"


def test_metrics_of_deformed_images_name_the_deformation_and_its_strength() -> None:
    assert describe("test_recall_at_1_cutout_0.3").title == "Recall@1, cutout 0.3 (%)"
    assert describe("test_map_at_r_zoom_in_0.2").label == "MAP@R, zoom in 0.2"
