"""The comparison table: what stands in which cell, and what the footnotes say."""

import math
from typing import Any

import pytest
from study_in_memory import Study, merged

from analysis.tables import Table, comparison_table, render
from analysis.tables.formats.layout import lay_out
from trainables.errors import DmlStudyError


def study(**options: Any) -> Study:
    """An untrained row, a baseline, and a method with two settings; three seeds."""
    made = Study(axes=["dataset", "synthesis.ratio"], **options)
    made.add("untrained", [0.4] * 3, run_ids=["a" * 16] * 3, settings={"strategy": "untrained"})
    base = made.add("base", [0.5, 0.51, 0.52])
    made.add("base + PS", [0.51, 0.53, 0.55], baseline=base, synthesis__ratio=0.5)
    made.add("base + PS", [0.50, 0.50, 0.50], baseline=base, synthesis__ratio=1.0)
    return made


def texts(table: Table) -> list[list[str]]:
    layout = lay_out(table)
    return [[field.text for field in layout.fields], *[[entry.text for entry in row] for row in layout.body]]


def notes(table: Table) -> str:
    return "\n".join(table.footnotes)


def test_a_small_table_to_the_letter() -> None:
    table = comparison_table(study().results(), metrics=["map_at_r"])
    assert texts(table) == [
        ["Method", "ratio", "n", "MAP@R (%)", "Δ MAP@R"],
        ["untrained", "", "1", "40.00", ""],
        ["base", "", "3", "51.00 ± 1.00", ""],
        ["base + PS", "0.5", "3", "53.00 ± 2.00", "+2.00 [−0.48, +4.48]"],
        ["", "1.0", "3", "50.00 ± 0.00", "−1.00 [−3.48, +1.48]"],
    ]
    assert [row.cells[0].bold for row in table.rows] == [False, False, True, False]
    assert [row.block for row in table.rows] == [0, 1, 1, 1]


def test_footnotes_of_a_small_table() -> None:
    # Differences to the best, 1, 2, 3 and 1, 3, 5: pooled deviation sqrt((1 + 4) / 2), times 3.264 for three pairs.
    assert comparison_table(study().results(), metrics=["map_at_r"]).footnotes == (
        "Values: mean ± sample standard deviation (ddof = 1) over seeds, in percent; "
        "n: number of seeds, those that share one run counted once.",
        "Δ: difference to the method's baseline on the same seeds, in percentage points with its 95 % paired "
        "t-interval. With n = 3 no two-sided paired rank test can go below p = 0.25.",
        "Bold: the best mean of a column; with fewer than 5 seeds it need not be the truly best. "
        "Smallest detectable difference (paired t-test, 5 %, power 80 %): glyphs MAP@R 5.16 points.",
        "untrained: pooled features of the backbone as it comes, without training.",
        "Data: glyphs (revision abcdef012345, 28 px). Crops: whole images. Network: conv4, embedding dimension 64. "
        "Training: 20 epochs, batches of 128, shuffled, adam, lr 0.001. "
        "Epoch: best MAP@R on validation classes (1 of 4 folds of the training classes). Distance: cosine.",
    )


def test_default_metrics_and_delta_of_the_selecting_metric_only() -> None:
    header = texts(comparison_table(study().results()))[0]
    assert header == ["Method", "ratio", "n", "Recall@1 (%)", "R-precision (%)", "MAP@R (%)", "Δ MAP@R"]
    selecting = study(protocol={"selection": "best_validation", "select_by": "recall_at_1"})
    assert "Δ Recall@1" in texts(comparison_table(selecting.results()))[0]
    assert "Δ" not in "".join(texts(comparison_table(study().results(), deltas=()))[0])
    both = texts(comparison_table(study().results(), deltas=["recall_at_1", "map_at_r"]))[0]
    assert [text for text in both if "Δ" in text] == ["Δ Recall@1", "Δ MAP@R"]
    with pytest.raises(DmlStudyError, match="not among the table's metrics"):
        comparison_table(study().results(), metrics=["map_at_r"], deltas=["recall_at_1"])


def test_datasets_are_columns_and_cells_without_a_run_are_dashes() -> None:
    made = Study(seeds=(0, 1))
    base = made.add("base", [0.5, 0.6], dataset="glyphs")
    made.add("base", [0.3, 0.4], dataset="cub")
    made.add("better", [0.6, 0.7], dataset="glyphs", baseline=base)
    made.add("better", [None, None], dataset="cub", baseline=1)
    made.add("only here", [0.9, 0.9], dataset="cub")
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert texts(table) == [
        ["Method", "n", "glyphs MAP@R (%)", "glyphs Δ MAP@R", "cub MAP@R (%)", "cub Δ MAP@R"],
        ["base", "2", "55.00 ± 7.07", "", "35.00 ± 7.07", ""],
        ["better", "2", "65.00 ± 7.07", "+10.00 [+10.00, +10.00]", "–", "–"],
        ["only here", "2", "–", "", "90.00 ± 0.00", ""],
    ]
    assert "Not finished yet: 2 of 10 runs" in notes(table)


def test_grouping_by_metric_puts_datasets_below_it() -> None:
    made = Study(seeds=(0,))
    for dataset in ("glyphs", "cub"):
        made.add("a", [0.5], dataset=dataset)
    fields = lay_out(comparison_table(made.results(), metrics=["map_at_r", "recall_at_1"], group="metric")).fields
    assert [(field.group, field.label) for field in fields[2:]] == [
        ("MAP@R (%)", "glyphs"),
        ("MAP@R (%)", "cub"),
        ("Recall@1 (%)", "glyphs"),
        ("Recall@1 (%)", "cub"),
    ]


def test_n_stands_by_dataset_where_it_differs_between_datasets() -> None:
    made = Study(seeds=(0, 1, 2))
    made.add("a", [0.5, 0.6, 0.7], dataset="glyphs")
    made.add("a", [0.5, None, None], dataset="cub")
    rows = texts(comparison_table(made.results(), metrics=["map_at_r"]))
    assert rows[0] == ["Method", "glyphs n", "glyphs MAP@R (%)", "cub n", "cub MAP@R (%)"]
    assert rows[1] == ["a", "3", "60.00 ± 10.00", "1", "50.00"]


def test_a_metric_that_half_of_the_runs_lack_is_reported() -> None:
    made = Study(seeds=(0, 1))
    made.add("a", {"test_map_at_r": [0.5, 0.6], "test_recall_at_2": [0.8, None]})
    made.add("b", {"test_map_at_r": [0.5, math.inf]})
    table = comparison_table(made.results(), metrics=["recall_at_2", "map_at_r"])
    assert texts(table)[1:] == [["a", "1–2", "80.00", "55.00 ± 7.07"], ["b", "1", "–", "50.00"]]
    assert (
        "Complete runs without a finite value, left out: Recall@2: a (glyphs) 1 of 2; b (glyphs) 2 of 2. "
        "MAP@R: b (glyphs) 1 of 2."
    ) in notes(table)


def test_failed_and_early_stopped_runs_are_counted_in_a_footnote() -> None:
    made = study()
    made.add("c", [0.5, 0.6, 0.7], status={0: "failed", 2: "pruned"}, synthesis__ratio=0.25)
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert texts(table)[-1][:4] == ["c", "0.25", "1", "60.00"]
    assert "Failed runs, left out: c (glyphs, ratio 0.25) 1 of 3." in notes(table)
    assert "Runs stopped early, left out: c (glyphs, ratio 0.25) 1 of 3." in notes(table)


def test_a_failed_untrained_run_counts_once() -> None:
    made = Study()
    made.add("untrained", [None] * 3, run_ids=["a" * 16] * 3, status=dict.fromkeys(range(3), "failed"))
    made.add("a", [0.5, 0.6, 0.7])
    assert "untrained (glyphs) 1 of 1" in notes(comparison_table(made.results()))


def test_unpaired_differences_are_marked() -> None:
    made = Study()
    base = made.add("base", [0.5, 0.6, 0.7])
    made.add("better", [0.6, None, 0.9], baseline=base)
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert texts(table)[2][-1].startswith("+15.00‡ [")
    assert "‡: the seeds differ, so the interval is Welch's." in notes(table)


def test_one_seed_gives_plain_numbers_and_differences() -> None:
    made = Study(seeds=(0,))
    base = made.add("base", [0.5])
    made.add("better", [0.6], baseline=base)
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert texts(table)[1:] == [["base", "1", "50.00", ""], ["better", "1", "60.00", "+10.00"]]
    assert "interval" not in notes(table)
    assert "detectable" not in notes(table)


def test_folds_are_averaged_and_the_footnote_says_so() -> None:
    made = Study(seeds=(0, 1), folds=2)
    made.add("a", [0.1, 0.3, 0.5, 0.9])
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert texts(table)[1] == ["a", "2", "45.00 ± 35.36"]
    assert "the 2 folds of a seed are averaged first" in notes(table)


def test_bold_and_its_footnote_from_five_seeds_on() -> None:
    made = Study(seeds=range(5))
    made.add("best", [0.50, 0.52, 0.54, 0.56, 0.58])
    made.add("as good", [0.51, 0.50, 0.55, 0.55, 0.58])
    made.add("worse", [0.40, 0.42, 0.44, 0.46, 0.48])
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert [row.cells[0].bold for row in table.rows] == [True, True, False]
    assert "all that is not significantly worse" in notes(table)
    assert "detectable" not in notes(table)


def test_a_better_lone_seed_is_not_bold_and_the_footnote_says_why() -> None:
    made = Study()
    made.add("lucky", [0.9, None, None])
    made.add("a", [0.5, 0.6, 0.7])
    made.add("b", [0.5, 0.6, 0.6])
    table = comparison_table(made.results(), metrics=["map_at_r"])
    assert [row.cells[0].bold for row in table.rows] == [False, True, False]
    assert "A lone seed is not taken for the best." in notes(table)


def test_sorting_puts_the_best_first_and_keeps_the_untrained_on_top() -> None:
    table = comparison_table(study().results(), metrics=["map_at_r"], sort="map_at_r")
    assert ["".join(row.labels) for row in table.rows] == ["untrained", "base + PS0.5", "base", "base + PS1.0"]
    seconds = study()
    for index, run in enumerate(seconds.runs.values()):
        run["wall_seconds"] = 100.0 - 10 * index
    fastest = comparison_table(seconds.results(), metrics=["wall_seconds"], sort="wall_seconds")
    assert texts(fastest)[0][-1] == "Wall time (s)"
    assert ["".join(row.labels) for row in fastest.rows] == ["untrained", "base + PS1.0", "base + PS0.5", "base"]


def test_untrained_comes_first_wherever_the_plan_has_it() -> None:
    made = Study(seeds=(0,))
    made.add("a", [0.5])
    made.add("untrained", [0.4])
    assert [row.labels[0] for row in comparison_table(made.results()).rows] == ["untrained", "a"]


def chosen_study() -> Study:
    made = Study(axes=["dataset", "synthesis.ratio"], seeds=(0, 1))
    for dataset, better in (("glyphs", 0.5), ("cub", 1.0)):
        base = made.add("base", {"test_map_at_r": [0.4, 0.4], "val_map_at_r": [0.4, 0.4]}, dataset=dataset)
        for ratio in (0.5, 1.0):
            on_validation, on_test = (0.7, 0.5) if ratio == better else (0.6, 0.9)
            values = {"test_map_at_r": [on_test] * 2, "val_map_at_r": [on_validation] * 2}
            made.add("PS", values, baseline=base, dataset=dataset, synthesis__ratio=ratio)
    return made


def test_best_setting_is_chosen_on_validation_not_on_test() -> None:
    table = comparison_table(chosen_study().results(), metrics=["map_at_r"], best="val_map_at_r")
    assert texts(table)[1:] == [
        ["base", "", "2", "40.00 ± 0.00", "", "40.00 ± 0.00", ""],
        ["PS", "0.5 / 1.0", "2", "50.00 ± 0.00", "+10.00 [+10.00, +10.00]", "50.00 ± 0.00", "+10.00 [+10.00, +10.00]"],
    ]
    assert (
        "One setting per method and dataset, the one with the best mean MAP@R on validation classes; test classes were "
        "not looked at. Settings tried: PS: 2. Settings that differ between datasets are given in the order of the "
        "columns."
    ) in table.footnotes


def test_a_lucky_first_seed_does_not_win_the_choice() -> None:
    made = Study(axes=["synthesis.ratio"], seeds=(0, 1))
    made.add("PS", {"test_map_at_r": [0.5, 0.5], "val_map_at_r": [0.5, 0.5]}, synthesis__ratio=0.5)
    made.add("PS", {"test_map_at_r": [0.9, None], "val_map_at_r": [0.9, None]}, synthesis__ratio=1.0)
    assert texts(comparison_table(made.results(), best="val_map_at_r"))[1][1] == "0.5"


def test_difference_of_a_chosen_setting_is_to_the_chosen_baseline() -> None:
    made = Study(axes=["loss.scale"], seeds=(0, 1))
    for scale, value in ((1, 0.3), (2, 0.5)):
        made.add("base", {"test_map_at_r": [value] * 2, "val_map_at_r": [value] * 2}, loss__scale=scale)
    for scale, value in ((1, 0.8), (2, 0.6)):
        values = {"test_map_at_r": [value] * 2, "val_map_at_r": [value] * 2}
        made.add("PS", values, baseline=scale - 1, loss__scale=scale)
    table = comparison_table(made.results(), metrics=["map_at_r"], best="val_map_at_r")
    assert [row[-1] for row in texts(table)[1:]] == ["", "+30.00 [+30.00, +30.00]"]


def test_settings_are_never_chosen_on_test_classes() -> None:
    with pytest.raises(DmlStudyError, match="validation"):
        comparison_table(chosen_study().results(), best="map_at_r")
    with pytest.raises(DmlStudyError, match="no value of 'val_map_at_r'"):
        comparison_table(study().results(), best="val_map_at_r")


def test_metrics_selected_on_test_have_flagged_columns_of_their_own_when_recorded() -> None:
    made = Study(seeds=(0,))
    made.add("a", {"test_map_at_r": [0.5], "best_test_map_at_r": [0.6]})
    table = comparison_table(made.results())
    assert texts(table)[0][-1] == "MAP@R, best on test† (%)"
    assert texts(table)[1][-2:] == ["50.00", "60.00"]
    assert "† Selected on test" in notes(table)
    assert "selected on test" in render(table, "csv").splitlines()[0]
    assert "†" not in notes(comparison_table(study().results()))


def test_unknown_metric_gets_the_nearest_spelling() -> None:
    with pytest.raises(DmlStudyError, match=r"'map_at_k' is in none of the results; did you mean 'map_at_r'\?"):
        comparison_table(study().results(), metrics=["map_at_k"])


def test_several_studies_stand_below_each_other() -> None:
    table = comparison_table(merged(study(name="one"), study(name="two")), metrics=["map_at_r"])
    rows = texts(table)
    assert rows[0][:3] == ["Study", "Method", "ratio"]
    assert [row[:2] for row in rows[1:]] == [
        ["one", "untrained"], ["two", "untrained"], ["one", "base"], ["one", "base + PS"], ["", ""],
        ["two", "base"], ["two", "base + PS"], ["", ""],
    ]  # fmt: skip


def test_equal_names_of_different_data_are_pointed_out() -> None:
    made = Study(seeds=(0,))
    made.add("a", [0.5])
    made.add("b", [0.5], settings={"dataset_revision": "other"})
    assert "Careful: glyphs differs in content" in notes(comparison_table(made.results()))


def test_two_hundred_cells_with_missing_ones() -> None:
    made = Study(axes=["dataset", "synthesis.ratio"], seeds=(0, 1))
    base = made.add("base", [0.5, 0.5])
    for index in range(200):
        values = [0.4, 0.6] if index % 7 else [None, None]
        made.add(f"method {index // 10}", values, baseline=base, synthesis__ratio=index % 10)
    table = comparison_table(made.results())
    assert len(table.rows) == 201
    assert len(render(table, "csv").splitlines()) == 202
    assert "Not finished yet: 58 of 402 runs" in notes(table)
