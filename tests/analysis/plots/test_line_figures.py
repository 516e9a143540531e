"""Sensitivity curves, metrics against k and against deformations, curves by steps and time."""

from typing import Any

import numpy as np
import pytest
from figure_checks import LONG, ODD, assert_nothing_overlaps, texts_in
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from study_in_memory import Study

from analysis import plots
from analysis.plots.shared.scales import scale_for
from analysis.statistics import summarize
from trainables.errors import DmlStudyError

RATIOS = (0.01, 0.1, 1.0)


def scanned(methods: int = 1, *, name: str = "PS", seeds: int = 3) -> Study:
    """An untrained network, a baseline, and methods at three ratios and two scales; one cell has no result."""
    study = Study(axes=["dataset", "synthesis.ratio", "loss.scale"], seeds=tuple(range(seeds)))
    rng = np.random.default_rng(1)
    study.add("untrained", [0.4] * seeds, run_ids=["a" * 16] * seeds)
    base = study.add("base", list(0.6 + 0.01 * rng.normal(size=seeds)))
    for index in range(methods):
        for scale in (8, 16):
            for ratio in RATIOS:
                values: list[float | None] = list(0.65 + 0.01 * rng.normal(size=seeds))
                if (index, scale, ratio) == (0, 16, 0.1):
                    values = [None] * seeds
                axes = {"synthesis__ratio": ratio, "loss__scale": scale}
                study.add(f"{name} {index}", values, baseline=base, **axes)
    return study


def drawn(ax: Any) -> dict[str, ErrorbarContainer]:
    return {found.get_label(): found for found in ax.containers if isinstance(found, ErrorbarContainer)}


def points(container: ErrorbarContainer) -> tuple[list[float], list[float]]:
    return container.lines[0].get_xdata().tolist(), container.lines[0].get_ydata().tolist()


def reaches(container: ErrorbarContainer) -> list[list[float]]:
    """Both ends of every error bar."""
    return [segment[:, 1].tolist() for segment in container.lines[2][0].get_segments()]


def values_of(study: Study, cell: int) -> list[float]:
    rows = study.results().replicates
    return (100 * rows[rows["cell"] == cell]["test_map_at_r"]).tolist()


def one(figure: Figure) -> Any:
    (ax,) = figure.axes
    return ax


def test_sensitivity_draws_a_line_per_method_and_rest_with_t_intervals() -> None:
    study = scanned()
    ax = one(plots.sensitivity(study.results(), axis="synthesis.ratio"))
    lines = drawn(ax)
    assert list(lines) == ["PS 0 (scale 8)", "PS 0 (scale 16)"]
    assert points(lines["PS 0 (scale 16)"])[0] == [0.01, 1.0], "the cell without a result is left out"
    expected = [summarize(values_of(study, cell)) for cell in (2, 3, 4)]
    assert points(lines["PS 0 (scale 8)"])[1] == pytest.approx([each.mean for each in expected])
    assert np.ravel(reaches(lines["PS 0 (scale 8)"])) == pytest.approx(np.ravel([[e.low, e.high] for e in expected]))
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "ratio", "MAP@R (%)")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.01", "0.1", "1.0"]


def test_sensitivity_has_what_the_axis_does_not_change_as_lines_across() -> None:
    results = scanned().results()
    figure = plots.sensitivity(results, axis="synthesis.ratio")
    ax = one(figure)
    across = {line.get_label(): line.get_ydata()[0] for line in ax.lines if line.get_label() in ("untrained", "base")}
    rows = results.replicates[results.replicates["method"] == "base"]["test_map_at_r"]
    assert across == pytest.approx({"untrained": 40.0, "base": 100 * rows.mean()})
    bands = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    summary = summarize(100 * rows.to_numpy())
    assert [(band.y0, band.y1) for band in bands] == [pytest.approx((summary.low, summary.high))]
    assert {"untrained", "base"} <= {text.get_text() for text in figure.subfigs[0].legends[0].get_texts()}


def test_spread_std_is_one_standard_deviation() -> None:
    study = Study(axes=["synthesis.ratio"])
    for ratio in RATIOS:
        study.add("a", [0.5, 0.6, 0.7], synthesis__ratio=ratio)
    (line,) = drawn(one(plots.sensitivity(study.results(), spread="std"))).values()
    assert np.ravel(reaches(line)) == pytest.approx([50, 70] * 3)


def test_names_along_the_axis_and_one_seed_without_bars() -> None:
    study = Study(axes=["backbone"], seeds=(0,))
    for name in ("resnet", "conv4"):
        study.add("a", [0.5], backbone=name)
    figure = plots.sensitivity(study.results(), axis="backbone")
    (line,) = drawn(one(figure)).values()
    assert points(line) == ([0.0, 1.0], [50.0, 50.0])
    assert [tick.get_text() for tick in one(figure).get_xticklabels()] == ["resnet", "conv4"]
    assert np.ptp(reaches(line), axis=1).tolist() == [0.0, 0.0]
    assert any(text.startswith("one seed\n") for text in texts_in(figure))


def test_points_of_fewer_seeds_are_told_below() -> None:
    study = Study(axes=["dataset", "synthesis.ratio"])
    study.add("PS", [0.5, 0.6, 0.7], synthesis__ratio=0.5)
    study.add("PS", [0.5, None, None], synthesis__ratio=1.0)
    foot = " ".join(texts_in(plots.sensitivity(study.results())))
    assert "mean over 1–3 seeds; bar: 95 % t-interval" in " ".join(foot.split())


def test_sensitivity_asks_for_an_axis_and_refuses_unknown_ones() -> None:
    with pytest.raises(DmlStudyError, match=r"Name one; .*: synthesis\.ratio, loss\.scale"):
        plots.sensitivity(scanned().results())
    with pytest.raises(DmlStudyError, match=r"'loss\.margin' is not compared"):
        plots.sensitivity(scanned().results(), axis="loss.margin")
    missing = Study(axes=["loss.scale"])
    missing.add("a", {"test_map_at_r": [None], "test_recall_at_1": [0.5]}, loss__scale=1)
    missing.add("b", [0.5])
    with pytest.raises(DmlStudyError, match=r"no method that has 'loss\.scale' has a result of 'test_map_at_r'"):
        plots.sensitivity(missing.results(), axis="loss.scale")


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.1, 1, 10], "log"),
        ([1, 2, 4, 8], "log"),
        ([0.25, 0.5, 0.75, 1.0], "linear"),
        ([0, 5, 20], "linear"),
        ([0, 0.01, 0.1, 1], "symlog"),
        ([-1, 0, 1], "linear"),
        ([1, 10], "linear"),
        (["a", "b"], "names"),
        ([True, False], "names"),
    ],
)
def test_scales(values: list[Any], scale: str) -> None:
    assert scale_for(values) == scale


def test_metric_at_k_takes_every_recorded_k() -> None:
    study = Study(seeds=(0, 1, 2))
    recalls = {1: [0.1, 0.2, 0.3], 2: [0.2, 0.3, 0.4], 10: [0.5, 0.6, 0.7]}
    study.add("a", {f"test_recall_at_{k}": values for k, values in recalls.items()})
    study.add("b", {"test_recall_at_1": [0.5] * 3, "test_recall_at_2": [float("nan")] * 3})
    figure = plots.metric_at_k(study.results(), metric="recall_at_1")
    ax, lines = one(figure), drawn(one(figure))
    assert points(lines["a"]) == ([1, 2, 10], pytest.approx([20, 30, 60]))
    assert np.ravel(reaches(lines["a"])[0]) == pytest.approx([20 - 24.8414, 20 + 24.8414], abs=1e-3)
    assert points(lines["b"]) == ([1], [50])
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("Recall@k (%)", "k")
    with pytest.raises(DmlStudyError, match="'ndcg' was not recorded at several k; recorded so: recall"):
        plots.metric_at_k(study.results(), metric="ndcg")


def test_robustness_begins_with_images_as_they_are() -> None:
    study = Study(seeds=(0, 1))
    strengths = {"": 0.8, "_rotation_5": 0.7, "_rotation_15": 0.5, "_noise_0.1": 0.4}
    study.add("a", {f"test_map_at_r{end}": [value, value + 0.02] for end, value in strengths.items()})
    study.add("b", {"test_map_at_r": [0.8, 0.9]})
    figure = plots.robustness(study.results())
    rotation, noise = figure.axes
    assert (rotation.get_title(), noise.get_title()) == ("rotation", "noise")
    assert points(drawn(rotation)["a"]) == ([0, 5, 15], pytest.approx([81, 71, 51]))
    assert points(drawn(noise)["a"]) == ([0, 0.1], pytest.approx([81, 41]))
    assert list(drawn(noise)) == ["a"], "what was not measured is not drawn"
    assert (rotation.get_xlabel(), noise.get_ylabel()) == ("degrees", "")
    with pytest.raises(DmlStudyError, match=r"not measured on deformed images; see `protocol\.deformations`"):
        plots.robustness(scanned().results())


def timed(seconds: float) -> Study:
    study = Study(seeds=(0, 1))
    study.add("a", [0.5, 0.6])
    study.curve(0, [[0.1, 0.2, 0.3], [0.3, 0.4, 0.5]])
    for row in study.epochs:
        slower = 1 + int(row["run_id"][-1], 16)
        row.update(steps=10, train_seconds=slower * seconds, eval_seconds=0.0 if row["epoch"] == 1 else seconds)
    return study


def test_curves_by_steps_add_up_the_epochs() -> None:
    (line,) = one(plots.learning_curves(timed(1.0).results(), by="steps")).lines
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([10, 20, 30], pytest.approx([20, 30, 40]))


@pytest.mark.parametrize(("seconds", "unit", "of"), [(1.0, "Seconds", 1), (60.0, "Minutes", 60), (3600, "Hours", 3600)])
def test_curves_by_time_stand_at_the_mean_of_the_seeds(seconds: float, unit: str, of: float) -> None:
    ax = one(plots.learning_curves(timed(seconds).results(), by="time"))
    assert ax.get_xlabel() == f"{unit} of training and evaluation"
    assert ax.lines[0].get_xdata().tolist() == pytest.approx([1.5, 4.0, 6.5]), (seconds, of)


def test_the_untrained_line_is_grey_and_takes_no_color_from_the_others() -> None:
    study = Study(seeds=(0, 1))
    for method in ("untrained", "a"):
        study.add(method, {f"test_recall_at_{k}": [0.1 * k, 0.2 * k] for k in (1, 2, 4)})
    lines = drawn(one(plots.metric_at_k(study.results())))
    assert [lines[name].lines[0].get_color() for name in ("untrained", "a")] == ["0.45", "#0072B2"]


def test_bands_are_left_out_where_there_are_many_lines_and_the_foot_says_so() -> None:
    study = Study(seeds=(0, 1))
    for index in range(13):
        study.add(f"m{index}", [0.5, 0.6])
        study.curve(index, [[0.1, 0.2], [0.2, 0.3]])
    figure = plots.learning_curves(study.results())
    assert len(one(figure).lines) == 13 and not one(figure).collections
    assert any("without their bands" in text for text in texts_in(figure))


@pytest.mark.parametrize(("methods", "name"), [(20, "m"), (10, LONG), (2, ODD)])
def test_texts_of_lines_do_not_overlap(methods: int, name: str) -> None:
    results = scanned(methods, name=name).results()
    figure = plots.sensitivity(results, axis="synthesis.ratio")
    assert_nothing_overlaps(figure)
    assert min(text.get_fontsize() for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))) >= 6
