"""Timelines, cost against quality, performance profiles, critical differences: what they draw."""

import numpy as np
import pytest
from figure_checks import LONG, assert_nothing_overlaps, line, texts_in
from study_in_memory import Study, merged

from analysis import plots
from analysis.cells import Sample
from analysis.ranks.profiles import profiles
from trainables.errors import DmlStudyError


def curriculum() -> Study:
    """Two methods, of which one recorded how many classes it had, and when it started again."""
    study = Study(seeds=(0, 1))
    study.add("plain", [0.7, 0.71])
    study.add("growing", [0.72, 0.73])
    for cell in (0, 1):
        study.curve(cell, [[0.5, 0.6, 0.7, 0.7], [0.52, 0.62, 0.72, 0.72]])
    extra = {
        "synthesis_classes": ([10, 10, 30, 30], [10, 10, 10, 30]),
        "ccp_reinitialized": ([0, 0, 1, 0], [0, 0, 0, 1]),
    }
    for row in [row for row in study.epochs if row["run_id"].startswith("00000001")]:
        seed = int(row["run_id"][-1])
        row["extra"] = {name: float(each[seed][row["epoch"] - 1]) for name, each in extra.items()}
        row["extra"] |= {"ccp_steps": float(row["epoch"]), "constant": 1.0}
    return study


def test_timelines_show_the_curve_above_every_quantity_that_changed() -> None:
    figure = plots.timelines(curriculum().results())
    labels = [ax.get_ylabel().replace("\n", " ") for ax in figure.axes]
    assert labels == ["MAP@R, validation (%)", "Classes in the loss", "Reinitialised"]
    curve, classes, events = figure.axes
    assert curve.lines[0].get_ydata() == pytest.approx([51, 61, 71, 71])
    assert classes.lines[0].get_ydata().tolist() == [10, 10, 20, 30]
    assert classes.lines[0].get_drawstyle() == "steps-post"
    (marks,) = events.collections
    assert [(segment[0][0], segment[1][1]) for segment in marks.get_segments()] == [(3, 0.4), (4, 0.4)]
    assert [text for text in texts_in(figure) if text in ("plain", "growing")] == ["growing"]


def test_quantities_may_be_named_and_have_to_exist() -> None:
    figure = plots.timelines(curriculum().results(), quantities=["ccp_steps"])
    assert figure.axes[1].lines[0].get_ydata().tolist() == [1, 2, 3, 4]
    with pytest.raises(DmlStudyError, match="ccp_step"):
        plots.timelines(curriculum().results(), quantities=["ccp_stepz"])


def test_a_study_without_curricula_has_no_timelines() -> None:
    study = Study()
    study.add("a", [0.5, 0.6, 0.7])
    study.curve(0, [[0.5, 0.6]] * 3)
    with pytest.raises(DmlStudyError, match="no run recorded a curriculum"):
        plots.timelines(study.results())


def priced() -> Study:
    study = Study()
    for method, score, seconds in (("cheap", 0.5, 10), ("dear", 0.7, 400), ("beaten", 0.6, 500), ("untrained", 0.3, 0)):
        values = {
            "test_map_at_r": [score, score + 0.02, score + 0.01],
            "train_seconds": [seconds, seconds, 2 * seconds],
        }
        study.add(method, values)
    return study


def test_cost_draws_means_with_their_spread_and_the_front() -> None:
    figure = plots.cost_quality(priced().results())
    (ax,) = figure.axes
    front = line(figure, "Pareto front")
    assert front.get_xdata() == pytest.approx([40 / 3, 1600 / 3])
    assert front.get_ydata() == pytest.approx([51, 71])
    assert line(figure, "untrained").get_ydata() == pytest.approx([31, 31])
    across = {tuple(np.round(bar.get_segments()[0][:, 0], 1)) for bar in ax.collections}
    assert {(10.0, 20.0), (400.0, 800.0), (500.0, 1000.0)} < across
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Training time (s)", "MAP@R (%)")


def test_cost_needs_two_methods_with_both_numbers() -> None:
    study = Study()
    study.add("a", {"test_map_at_r": [0.5, 0.6, 0.7], "train_seconds": [1.0, 2.0, 3.0]})
    with pytest.raises(DmlStudyError, match="1 cells have both 'test_map_at_r' and 'train_seconds'"):
        plots.cost_quality(study.results())


def sample(*values: float) -> Sample:
    return Sample(dict(enumerate(values)), {seed: f"run{seed}" for seed in range(len(values))})


def test_a_profile_is_the_share_of_runs_near_the_best_mean_averaged_over_datasets() -> None:
    samples = {
        "one": {"a": sample(10.0, 10.0), "b": sample(9.0, 8.0)},
        "two": {"a": sample(5.0, 3.0), "b": sample(6.0, 6.0)},
    }
    found = profiles(samples, [0.0, 1.0, 2.0, 3.0], higher_is_better=True)
    assert found["a"].share.tolist() == [0.5, 0.75, 0.75, 1.0]
    assert found["b"].share.tolist() == [0.5, 0.75, 1.0, 1.0]
    assert (found["a"].low <= found["a"].share).all() and (found["a"].share <= found["a"].high).all()
    assert found["a"].high[0] == 0.5  # no run of dataset two is as good as the best mean there
    single = profiles({"one": {"a": sample(1.0), "b": sample(2.0)}}, [0.0, 1.0], higher_is_better=False)
    assert single["b"].share.tolist() == [0.0, 1.0] and np.isnan(single["b"].low).all()


def many_datasets(methods: int, datasets: int, *, name: str = "method") -> Study:
    study, random = Study(), np.random.default_rng(0)
    for method in range(methods):
        for dataset in range(datasets):
            values = list(0.5 + 0.02 * dataset + 0.01 * method + random.normal(0, 0.001, 3))
            study.add(f"{name} {method}", values, dataset=f"data {dataset}")
    return study


def test_profiles_leave_out_what_is_not_on_every_dataset_and_say_so() -> None:
    study = many_datasets(3, 2)
    study.add("elsewhere", [0.5, 0.5, 0.5], dataset="data 0")
    figure = plots.performance_profiles(study.results())
    assert [each.get_label() for each in figure.axes[0].lines] == ["method 0", "method 1", "method 2"]
    assert line(figure, "method 2").get_ydata()[-1] == 100
    assert any("not on every dataset: elsewhere" in text.replace("\n", " ") for text in texts_in(figure))


def test_studies_of_several_datasets_are_one_profile() -> None:
    first, second = Study("first"), Study("second")
    for study, dataset in ((first, "glyphs"), (second, "cub")):
        study.add("a", [0.5, 0.6, 0.7], dataset=dataset)
        study.add("b", [0.4, 0.5, 0.6], dataset=dataset)
    figure = plots.performance_profiles(merged(first, second))
    assert [each.get_label() for each in figure.axes[0].lines] == ["a", "b"]


def test_critical_differences_show_ranks_and_the_groups_that_are_alike() -> None:
    figure = plots.critical_difference_diagram(many_datasets(4, 8).results())
    labels = [text for text in texts_in(figure) if text.startswith("method")]
    assert labels == ["method 3 (1.00)", "method 2 (2.00)", "method 1 (3.00)", "method 0 (4.00)"]
    assert "critical difference 1.66" in texts_in(figure)
    bars = [each for each in figure.axes[0].lines if each.get_linewidth() == 2.2]
    assert len(bars) == 3  # neighbours are alike, others are not


def test_critical_differences_are_refused_below_six_datasets() -> None:
    with pytest.raises(DmlStudyError, match="need 6 or more"):
        plots.critical_difference_diagram(many_datasets(4, 5).results())


def test_nothing_overlaps_with_twenty_methods_and_long_names() -> None:
    results = many_datasets(20, 6, name=LONG).results()
    assert_nothing_overlaps(plots.critical_difference_diagram(results))
    assert_nothing_overlaps(plots.performance_profiles(results, methods=[f"{LONG} {index}" for index in range(20)]))
