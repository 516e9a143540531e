"""Contours between settings that lie on no grid."""

from typing import Any

import numpy as np
import pytest
from figure_checks import LONG, ODD, assert_nothing_overlaps, texts_in
from study_in_memory import Study

from analysis import plots
from trainables.errors import DmlStudyError

POINTS = [(0.1, 1e-4), (0.9, 1e-4), (0.1, 1e-2), (0.9, 1e-2), (0.5, 1e-3)]
VALUES = [0.1, 0.2, 0.3, 0.4, 0.25]


def searched(
    points: list[tuple[float, float]] = POINTS, *, method: str = "PS", stopped: int = 0, searches: int = 1
) -> Study:
    """A search over a ratio and, on a logarithmic scale, the learning rate."""
    study = Study()
    study.add("base", [0.5, 0.6, 0.7])
    space: Any = {
        "synthesis.ratio": {"distribution": "uniform", "min": 0.0, "max": 1.0},
        "optimizer.lr": {"distribution": "loguniform", "min": 1e-5, "max": 1.0},
    }
    whole = len(points) - stopped
    settings = [
        {
            "number": number,
            "params": {"synthesis.ratio": ratio, "optimizer.lr": rate},
            "runs": [],
            "value": VALUES[number % len(VALUES)] if number < whole else None,
            "state": "complete" if number < whole else "pruned",
        }
        for number, (ratio, rate) in enumerate(points)
    ]
    for index in range(searches):
        search = {"method": f"{method} {index}", "axes": {"dataset": "glyphs"}, "space": space}
        study.searches.append({**search, "select_by": "map_at_r", "settings": settings, "chosen": 3})
    return study


def dots(ax: Any) -> dict[str, list[tuple[float, float]]]:
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in ax.lines}


def test_settings_and_the_best_of_them_are_marked_on_the_axes_of_the_space() -> None:
    ax, bar = plots.contours(searched().results()).axes
    assert dots(ax) == {"settings": POINTS, "best": [(0.9, 1e-2)]}
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("ratio", "lr", "PS 0")
    assert bar.get_ylabel() == "MAP@R, validation (%)"


def test_values_are_interpolated_along_the_logarithm_and_only_between_settings() -> None:
    """Values rise by 20 from the lowest learning rate to the highest one, a hundred times as high."""
    ax = plots.contours(searched(POINTS[:4]).results()).axes[0]
    (filled,) = [each for each in ax.collections if hasattr(each, "levels")]
    assert filled.levels[0] <= 10 and filled.levels[-1] >= 40
    corners = np.concatenate([path.vertices for path in filled.get_paths()])
    assert (corners[:, 0].min(), corners[:, 0].max()) == pytest.approx((0.1, 0.9))
    left = corners[np.isclose(corners[:, 0], 0.1)]
    expected = [1e-4 * 100 ** ((level - 10) / 20) for level in filled.levels if 10 < level < 30]
    for rate in expected:
        assert np.isclose(left[:, 1], rate, rtol=1e-6).any()
    assert (left[:, 1].min(), left[:, 1].max()) == pytest.approx((1e-4, 1e-2))


def test_settings_that_were_stopped_take_no_part() -> None:
    figure = plots.contours(searched([*POINTS, (0.2, 1.0)], stopped=1).results())
    found = dots(figure.axes[0])
    assert (found["stopped"], len(found["settings"])) == ([(0.2, 1.0)], 5)
    assert any("stopped early" in text for text in texts_in(figure))


def test_too_few_settings_or_settings_on_a_line_are_refused() -> None:
    line = [(0.1 * index, 10.0**-index) for index in range(1, 6)]
    for points in (POINTS[:3], line):
        with pytest.raises(
            DmlStudyError, match=r"4 finished settings .* not on one line.*: synthesis\.ratio, optimizer"
        ):
            plots.contours(searched(points).results())
    with pytest.raises(DmlStudyError, match="no search and no method with several settings"):
        plots.contours(Study(cells=searched().cells, methods=[], runs=searched().runs).results())


def test_axes_can_be_named_either_way_round() -> None:
    ax = plots.contours(searched().results(), x="optimizer.lr").axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("lr", "ratio", "log")


@pytest.mark.parametrize("name", [LONG, ODD])
def test_texts_of_contours_do_not_overlap(name: str) -> None:
    assert_nothing_overlaps(plots.contours(searched(method=name, searches=3).results()))
