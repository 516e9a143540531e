"""Bars, forests of differences and gaps to the teacher: figures with a row per method."""

from typing import Any

import pytest
from figure_checks import LONG, ODD, assert_nothing_overlaps, texts_in
from matplotlib.figure import Figure
from study_in_memory import Study

from analysis import plots
from analysis.cells import cell_samples
from analysis.claims import checking
from analysis.statistics import compare, summarize
from trainables.errors import DmlStudyError


def compared(methods: int = 2, *, name: str = "PS", claims: bool = False) -> Study:
    """Two datasets; a baseline and methods with paired differences of 2 points; one is missing on the second one."""
    study = Study(seeds=(0, 1, 2, 3, 4))
    for dataset in ("glyphs", "cub"):
        base = study.add("base", [0.60, 0.62, 0.61, 0.63, 0.60], dataset=dataset)
        for index in range(methods):
            values: list[float | None] = [0.62, 0.64, 0.635, 0.65, 0.63]
            missing = dataset == "cub" and index == 0
            study.add(f"{name} {index}", [None] * 5 if missing else values, baseline=base, dataset=dataset)
    if claims:
        study.claims = [{"better": f"{name} 1", "worse": "base", "metric": "map_at_r"}]
    return study


def rows(ax: Any) -> list[str]:
    return [tick.get_text() for tick in ax.get_yticklabels()]


def column(ax: Any) -> list[str]:
    """What is written beside the rows, below its heading."""
    _heading, *values = [text.get_text() for text in ax.texts]
    return values


def marks(ax: Any, marker: str) -> list[float]:
    return [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == marker]


def spans(ax: Any, color: str) -> list[list[float]]:
    """Intervals, from the top row down."""
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_color() == color]
    return [list(line.get_xdata()) for line in lines if line.get_marker() in ("", "None", None)]


def test_bars_begin_at_zero_and_carry_value_and_interval() -> None:
    results = compared().results()
    (figure,) = plots.bars(results)
    glyphs, cub = figure.axes
    assert (rows(glyphs), glyphs.get_title(), cub.get_title()) == (["base", "PS 0", "PS 1"], "glyphs", "cub")
    summaries = [summarize(sample.values) for sample in cell_samples(results.replicates, "test_map_at_r").values()][:3]
    assert [patch.get_width() for patch in glyphs.patches] == pytest.approx([100 * each.mean for each in summaries])
    assert [patch.get_x() for patch in glyphs.patches] == [0.0] * 3
    expected = [[100 * each.low, 100 * each.high] for each in summaries]
    assert [pytest.approx(pair) for pair in expected] == spans(glyphs, "black")
    assert column(glyphs) == ["61.20 ±1.62", "63.50 ±1.39", "63.50 ±1.39"]
    assert [text.get_fontweight() for text in glyphs.texts[1:]] == ["normal", "bold", "bold"]
    assert column(cub) == ["61.20 ±1.62", "no result", "63.50 ±1.39"] and len(cub.patches) == 2


def test_bars_of_one_seed_and_of_fewer_seeds_say_so() -> None:
    study = Study()
    study.add("a", [0.5, 0.6, 0.7])
    study.add("b", [0.5, None, None])
    (figure,) = plots.bars(study.results(), spread="std")
    assert column(figure.axes[0]) == ["60.00 ±10.00", "50.00 (n=1)"]


def test_every_three_datasets_have_a_figure_of_their_own() -> None:
    study = Study()
    for index in range(4):
        study.add("a", [0.5, 0.6, 0.7], dataset=f"data {index}")
    assert [[ax.get_title() for ax in figure.axes] for figure in plots.bars(study.results())] == [
        ["data 0", "data 1", "data 2"],
        ["data 3"],
    ]


def test_no_more_datasets_stand_side_by_side_than_there_is_room_for() -> None:
    study = Study(claims=[{"better": "PS", "worse": LONG, "metric": "map_at_r"}])
    for index in range(3):
        base = study.add(LONG, [0.5, 0.61, 0.7], dataset=f"data {index}")
        study.add("PS", [0.6, 0.7, 0.8], dataset=f"data {index}", baseline=base)
    figures = plots.forest(study.results())
    assert [len(figure.axes) for figure in figures] == [2, 1]
    for figure in figures:
        assert_nothing_overlaps(figure)


def test_forest_draws_paired_differences_with_their_t_intervals() -> None:
    results = compared().results()
    (figure,) = plots.forest(results)
    glyphs, cub = figure.axes
    samples = cell_samples(results.replicates, "test_map_at_r", factor=100)
    keys = list(samples)
    expected = compare(samples[keys[1]], samples[keys[0]])
    assert marks(glyphs, "o") == pytest.approx([expected.difference] * 2)
    assert spans(glyphs, "0.3") == [pytest.approx([expected.low, expected.high])] * 2
    assert column(glyphs) == ["+2.30 [+1.74, +2.86]"] * 2
    assert (rows(glyphs), column(cub)) == (["PS 0", "PS 1"], ["no result", "+2.30 [+1.74, +2.86]"])
    assert any("paired by seed, not corrected for their number); n = 5" in text for text in folded(figure))


def folded(figure: Figure) -> list[str]:
    return [" ".join(text.split()) for text in texts_in(figure)]


def test_forest_marks_claims_with_their_test_after_holm() -> None:
    results = compared(claims=True).results()
    (figure,) = plots.forest(results)
    tested = checking.tested_claims(results)[0]
    assert len(marks(figure.axes[0], "D")) == 1 and len(marks(figure.axes[0], "o")) == 1
    assert tested.p_value < 0.001
    assert column(figure.axes[0]) == ["+2.30 [+1.74, +2.86]", "+2.30 [+1.74, +2.86], p < 0.001*"]
    assert not any("p " in text for text in column(plots.forest(results, metric="recall_at_1")[0].axes[0]))


def test_forest_has_claims_against_other_methods_than_the_baseline() -> None:
    study = compared(claims=True)
    study.claims = [{"better": "PS 1", "worse": "PS 0", "metric": "map_at_r"}]
    (figure,) = plots.forest(study.results())
    assert rows(figure.axes[0]) == ["PS 0 − base", "PS 1 − base", "PS 1 − PS 0"]
    assert marks(figure.axes[0], "D") == [0.0]


def test_forest_without_baselines_or_results_is_refused() -> None:
    study = Study()
    base = study.add("a", [0.5, 0.6, 0.7])
    with pytest.raises(DmlStudyError, match="no method names a `baseline`"):
        plots.forest(study.results())
    study.add("b", [None] * 3, baseline=base)
    with pytest.raises(DmlStudyError, match="no method and its baseline both have a result of 'test_map_at_r'"):
        plots.forest(study.results())


def taught(*, seed: str = "same", name: str = "student") -> Study:
    """A teacher, the small network alone, and the same taught by the teacher's run of the same or first seed."""
    study = Study()
    teacher = study.add("teacher", [0.80, 0.82, 0.84])
    alone = study.add("small", [0.60, 0.61, 0.62])
    student = study.add(name, [0.70, 0.75, 0.71], baseline=alone)
    runs = [each["run_id"] for each in study.cells[teacher]["replicates"]]
    for index, replicate in enumerate(study.cells[student]["replicates"]):
        replicate["parent"] = runs[index if seed == "same" else 0]
    return study


def test_the_gap_lies_between_the_network_alone_and_the_teacher() -> None:
    results = taught().results()
    (figure,) = plots.teacher_gap(results)
    (ax,) = figure.axes
    assert rows(ax) == ["student"]
    assert (marks(ax, "o"), marks(ax, "|"), marks(ax, "D")) == (
        pytest.approx([61.0]),
        pytest.approx([82.0]),
        pytest.approx([72.0]),
    )
    samples = list(cell_samples(results.replicates, "test_map_at_r", factor=100).values())
    gap, own = compare(samples[2], samples[0]), summarize(samples[2].values)
    assert column(ax) == [f"−10.00 ±{(gap.high - gap.low) / 2:.2f}"]
    assert spans(ax, "#0072B2") == [pytest.approx([own.low, own.high])]
    assert {text.get_text() for text in figure.subfigs[0].legends[0].get_texts()} == {
        "without transfer",
        "student",
        "teacher",
    }


def test_a_teacher_of_one_seed_is_compared_with_every_student() -> None:
    (ax,) = plots.teacher_gap(taught(seed="first").results())[0].axes
    assert marks(ax, "|") == pytest.approx([80.0])
    assert column(ax)[0].startswith("−8.00 ±")


def test_a_student_whose_baseline_is_its_teacher_has_no_network_alone() -> None:
    study = taught()
    study.cells[2]["baseline"] = 0
    (ax,) = plots.teacher_gap(study.results())[0].axes
    assert not marks(ax, "o") and len(marks(ax, "|")) == 1


def test_no_teacher_no_gap() -> None:
    with pytest.raises(DmlStudyError, match="no method learns from a teacher"):
        plots.teacher_gap(compared().results())


@pytest.mark.parametrize(("methods", "name"), [(20, "method"), (3, LONG), (2, ODD)])
def test_texts_of_rows_do_not_overlap(methods: int, name: str) -> None:
    results = compared(methods, name=name, claims=True).results()
    for figure in [*plots.bars(results), *plots.forest(results), *plots.teacher_gap(taught(name=name).results())]:
        assert_nothing_overlaps(figure)
