"""Any key as rows and columns, what is shown of a cell, check marks, labels, several studies."""

import csv
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from study_in_memory import Study, merged

import analysis
from analysis.tables import FORMATS, Table, comparison_table, render, with_stars
from analysis.tables.formats.layout import lay_out
from trainables.errors import DmlStudyError


def grid() -> Study:
    """A baseline, and a method at two ratios times two alphas, on two datasets; two seeds."""
    made = Study(axes=["dataset", "synthesis.ratio", "synthesis.mixup_alpha"], seeds=(0, 1))
    for level, dataset in ((0.5, "glyphs"), (0.3, "cub")):
        base = made.add("base", [level, level], dataset=dataset)
        for place, (ratio, alpha) in enumerate([(0.5, 0.2), (0.5, 0.4), (1.0, 0.2), (1.0, 0.4)], start=1):
            value = level + place / 100
            axes = {"synthesis__ratio": ratio, "synthesis__mixup_alpha": alpha}
            made.add("PS", [value, value], baseline=base, dataset=dataset, **axes)
    return made


def texts(table: Table) -> list[list[str]]:
    return [[entry.text for entry in row] for row in lay_out(table).body]


def headers(table: Table) -> list[tuple[str, ...]]:
    return [(*field.groups, field.label) for field in lay_out(table).fields]


def test_a_parameter_as_columns_in_headers_of_three_levels() -> None:
    table = comparison_table(grid().results(), metrics=["map_at_r"], columns=["dataset", "synthesis.ratio"], deltas=())
    assert headers(table) == [
        ("", "", "Method"),
        ("", "", "mixup alpha"),
        ("", "", "n"),
        *[("MAP@R (%)", name, ratio) for name in ("glyphs", "cub") for ratio in ("no ratio", "ratio 0.5", "ratio 1.0")],
    ]
    assert texts(table) == [
        ["base", "", "2", "50.00 ± 0.00", "–", "–", "30.00 ± 0.00", "–", "–"],
        ["PS", "0.2", "2", "–", "51.00 ± 0.00", "53.00 ± 0.00", "–", "31.00 ± 0.00", "33.00 ± 0.00"],
        ["", "0.4", "2", "–", "52.00 ± 0.00", "54.00 ± 0.00", "–", "32.00 ± 0.00", "34.00 ± 0.00"],
    ]
    levels = list(lay_out(table).header_levels())
    assert levels[0] == [("", 3), ("MAP@R (%)", 6)]
    assert levels[1] == [("", 3), ("glyphs", 3), ("cub", 3)]


def test_datasets_and_metrics_as_rows_and_methods_as_columns() -> None:
    made = Study(seeds=(0, 1))
    for dataset, level in (("glyphs", 0.5), ("cub", 0.3)):
        base = made.add("a", [level, level], dataset=dataset)
        made.add("b", [level + 0.1] * 2, baseline=base, dataset=dataset)
    table = comparison_table(
        made.results(), metrics=["map_at_r", "recall_at_1"], rows=["dataset", "metric"], columns=["method"]
    )
    assert headers(table) == [("Dataset",), ("Metric",), ("n",), ("a",), ("b",), ("Δ b",)]
    delta = "+10.00 [+10.00, +10.00]"
    assert texts(table) == [
        ["glyphs", "MAP@R (%)", "2", "50.00 ± 0.00", "60.00 ± 0.00", delta],
        ["", "Recall@1 (%)", "2", "50.00 ± 0.00", "60.00 ± 0.00", ""],
        ["cub", "MAP@R (%)", "2", "30.00 ± 0.00", "40.00 ± 0.00", delta],
        ["", "Recall@1 (%)", "2", "30.00 ± 0.00", "40.00 ± 0.00", ""],
    ]
    assert [[cell.bold for cell in row.cells] for row in table.rows] == [[False, True]] * 4
    assert [row.block for row in table.rows] == [0, 0, 1, 1]


def test_rivals_stand_below_each_other_where_methods_are_rows() -> None:
    made = grid()
    for ratio in (0.5, 1.0):
        made.add("other", [0.515, 0.515], synthesis__ratio=ratio, synthesis__mixup_alpha=0.2)
    table = comparison_table(made.results(), metrics=["map_at_r"], columns=["dataset", "synthesis.ratio"])
    bold = {(row.labels, index) for row in table.rows for index, cell in enumerate(row.cells) if cell.bold}
    assert (("PS", "0.4"), 1) in bold and (("PS", "0.4"), 2) in bold  # 52 and 54 beat 51.5
    assert (("other", "0.2"), 1) not in bold


def test_what_is_shown_beside_the_mean() -> None:
    made = Study()
    base = made.add("a", [0.5, 0.51, 0.52])
    made.add("b", [0.5, 0.5, 0.6], baseline=base)
    bare = comparison_table(made.results(), metrics=["map_at_r"], show=["mean"])
    assert texts(bare) == [["a", "51.00"], ["b", "53.33"]]
    assert bare.footnotes[0] == "Values: mean over seeds, in percent."
    full = comparison_table(made.results(), metrics=["map_at_r"], show=["interval", "n"])
    assert texts(full)[0] == ["a", "3", "51.00 [48.52, 53.48]"]
    assert full.footnotes[0].startswith("Values: mean [95 % t-interval] over seeds, in percent; n: number of seeds")
    with pytest.raises(DmlStudyError, match="did you mean 'interval'"):
        comparison_table(made.results(), show=["intervall"])


def test_the_second_best_is_underlined_everywhere() -> None:
    made = Study(seeds=(0, 1))
    for name, level in (("low", 0.3), ("second", 0.4), ("best", 0.5)):
        made.add(name, [level, level + 0.02])
    made.add("lone", [0.45, None])
    table = comparison_table(made.results(), metrics=["map_at_r"], mark="second")
    assert [row.labels[0] for row in table.rows if row.cells[0].second] == ["second"]
    assert "Underlined: the second best mean." in table.footnotes
    marks = {"markdown": "<ins>41.00</ins>", "latex": r"\underline{41.00}", "html": "<u>41.00</u>"}
    for format, mark in {**marks, "typst": 'underline("41.00")'}.items():
        assert render(table, format).count(mark) == 1
    header, *rows = csv.reader(io.StringIO(render(table, "csv")))
    assert [row[header.index("glyphs MAP@R (%) second")] for row in rows] == ["0", "1", "0", "0"]
    two = Study(seeds=(0, 1))
    two.add("a", [0.5, 0.5])
    two.add("b", [0.4, 0.4])
    assert not any(row.cells[0].second for row in comparison_table(two.results(), mark="second").rows)
    plain = comparison_table(two.results(), metrics=["map_at_r"], mark="none")
    assert not any(row.cells[0].bold for row in plain.rows)


def test_check_marks_of_parameters_and_parts() -> None:
    made = Study(axes=["dataset", "head.layer_norm"], seeds=(0,))
    made.add("a", [0.5], head__layer_norm=False)
    made.add("a", [0.5], head__layer_norm=True)
    made.add("b", [0.5])
    made.add("waiting", [None])
    for index, run in enumerate(made.runs.values()):
        run["config"] = run["config"].replace('{"name": "none"', '{"name": "memvir"') if index else run["config"]
    table = comparison_table(made.results(), check=["synthesis", "head.layer_norm", "synthesis=none"])
    assert table.headings == ("Method", "synthesis", "layer norm", "none")
    assert [row.labels for row in table.rows] == [
        ("a", "", "", "✓"),
        ("a", "✓", "✓", ""),
        ("b", "✓", "", ""),
        ("waiting", "–", "", "–"),
    ]
    with pytest.raises(DmlStudyError, match="unknown key 'synthesiss'; did you mean 'synthesis'"):
        comparison_table(made.results(), check=["synthesiss"])


def test_labels_of_the_plan_stand_for_names() -> None:
    made = Study(seeds=(0,))
    made.add("a", [None], status={0: "failed"})
    made.methods[0]["label"] = "Norm-SoftMax (α = 1)"
    table = comparison_table(made.results())
    assert table.rows[0].labels == ("Norm-SoftMax (α = 1)",)
    assert "Failed runs, left out: Norm-SoftMax (α = 1) (glyphs) 1 of 1." in table.footnotes


def test_equal_runs_of_several_studies_are_one_row_where_asked_for() -> None:
    one, two = Study(name="one", seeds=(0,)), Study(name="two", seeds=(0,))
    for each, other in ((one, "c" * 16), (two, "d" * 16)):
        base = each.add("base", [0.5], run_ids=["a" * 16])
        each.add("better", [0.6], run_ids=["b" * 16], baseline=base)
        each.add("own", [0.7], run_ids=[other], baseline=base)
    results = merged(one, two)
    table = comparison_table(results, metrics=["map_at_r"], studies="merged")
    assert [row.labels for row in table.rows] == [
        ("one, two", "base"),
        ("one, two", "better"),
        ("one", "own"),
        ("two", "own"),
    ]
    assert [round(cell.delta.difference) for row in table.rows for cell in row.cells if cell.delta] == [10, 20, 20]
    assert len(comparison_table(results).rows) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": ["methd"]}, "unknown key 'methd'; did you mean 'method'"),
        ({"columns": ["synthesis.ration"]}, "did you mean 'synthesis.ratio'"),
        ({"rows": ["method"], "columns": ["method"]}, "'method' is given twice"),
        ({"columns": ["synthesis.ratio"], "best": "val_map_at_r"}, "'synthesis.ratio' tells none apart"),
    ],
)
def test_keys_that_cannot_be_rows_or_columns(options: dict[str, Any], message: str) -> None:
    made = grid()
    for run in made.runs.values():
        run["val_map_at_r"] = run["test_map_at_r"]
    with pytest.raises(DmlStudyError, match=message):
        comparison_table(made.results(), **options)


def test_infinite_and_missing_values_are_dashes_in_every_format() -> None:
    made = grid()
    for index, run in enumerate(made.runs.values()):
        if index % 3:
            run["test_map_at_r"] = (math.nan, math.inf, -math.inf)[index % 3]
    for columns in (None, ["synthesis.ratio"], ["method"]):
        table = comparison_table(made.results(), columns=columns)
        for format in FORMATS:
            assert not any(word in render(table, format).lower().split() for word in ("nan", "inf", "-inf"))


def test_tables_never_open_epochs_or_classes(tmp_path: Path) -> None:
    made = grid()
    made.curve(0, [[0.1, 0.2]] * 2)
    made.classes.append({"run_id": made.cells[0]["replicates"][0]["run_id"], "attempt": "0001_01", "class_index": 3})
    folder = made.write(tmp_path / "results")
    parts = [*folder.glob("epochs/*.parquet"), *folder.glob("classes/*.parquet")]
    assert len(parts) == 3
    for part in parts:
        part.write_bytes(b"not a table")
    results = analysis.load(folder)
    for format in FORMATS:
        render(comparison_table(results, check=["synthesis"], rows=["dataset"], sort="map_at_r"), format)
    with pytest.raises(DmlStudyError):
        _ = results.epochs


def test_configurations_that_differ_beyond_seed_and_fold_are_told_apart() -> None:
    made = Study()
    made.add("a", [0.5, 0.6, 0.7])
    first, second, third = made.runs.values()
    first["config"] = '{"seed": 0, "fold": 0, "strategy": {"teacher": {"seed": 3, "fold": 0}}}'
    second["config"] = '{"seed": 1, "fold": null, "strategy": {"teacher": {"seed": 4, "fold": 0}}}'
    third["config"] = None
    runs = made.results().runs.set_index("run_id")
    found = [runs.loc[each["run_id"], "strategy.teacher.seed"] for each in (first, second, third)]
    assert found[:2] == [3, 4] and math.isnan(found[2])


def test_stars_stand_behind_the_difference_that_was_tested() -> None:
    made = Study(name="s")
    base = made.add("a", [0.50, 0.51, 0.52])
    made.add("b", [0.60, 0.62, 0.61], baseline=base)
    table = comparison_table(made.results(), metrics=["map_at_r"])
    starred = with_stars(table, {(("s", 1), ("s", 0), "test_map_at_r"): "**"}, "Stars: a note.")
    assert texts(starred)[1][-1].startswith("+10.00** [")
    assert r"+10.00\*\* [" in render(starred, "markdown") and "+10.00** {" in render(starred, "latex")
    assert starred.footnotes == (*table.footnotes, "Stars: a note.")
    assert with_stars(table, {(("s", 0), ("s", 1), "test_map_at_r"): "*"}, "") == table


def test_a_table_is_a_value() -> None:
    table = comparison_table(grid().results(), metrics=["map_at_r"])
    assert replace(table, title="x").rows == table.rows
    assert table._repr_html_() == render(table, "html")


def test_claims_that_hold_get_stars_in_the_table_of_their_study() -> None:
    study = Study(seeds=range(6))
    base = [0.50, 0.51, 0.52, 0.50, 0.53, 0.49]
    study.add("base", base)
    study.add("better", [value + 0.05 + 0.002 * (index % 2) for index, value in enumerate(base)], baseline=0)
    study.add("other", [value + 0.05 + 0.002 * (index % 2) for index, value in enumerate(base)], baseline=0)
    study.claims = [{"better": "better", "worse": "base", "metric": "map_at_r"}]
    table = comparison_table(study.results())
    starred = {row.labels[0]: [cell.stars for cell in row.cells] for row in table.rows}
    assert starred == {"base": ["", "", ""], "better": ["", "", "***"], "other": ["", "", ""]}
    assert any(note.startswith("Stars mark claims alone") for note in table.footnotes)
    assert "+5.10\\*\\*\\* [" in render(table, "markdown")
