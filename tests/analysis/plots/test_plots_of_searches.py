"""Figures of searches and of compared settings: what they draw of each setting."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from figure_checks import assert_nothing_overlaps, line, texts_in
from study_in_memory import Study

from analysis import plots
from trainables.errors import DmlStudyError

SPACE = {
    "loss.scale": {"distribution": "uniform", "min": 1.0, "max": 9.0, "step": None},
    "optimizer.lr": {"distribution": "loguniform", "min": 0.0001, "max": 0.01, "step": None},
    "optimizer.name": {"distribution": "choice", "values": ["adam", "sgd"]},
}
VALUES = [0.5, None, 0.6, 0.55, 0.7, 0.65, 0.52, 0.58, None]
STATES = ["complete", "pruned", *["complete"] * 6, "failed"]


@dataclass
class Searched(Study):
    """A study whose plan has searches."""

    searches: list[dict[str, Any]] = field(default_factory=list)

    def plan(self) -> dict[str, Any]:
        return {**super().plan(), "searches": self.searches}


def searched(*methods: str, select_by: str = "map_at_r") -> Searched:
    study = Searched()
    for method in methods:
        study.add(method, [0.7, 0.71, 0.72])
        settings = [_setting(number, value) for number, value in enumerate(VALUES)]
        study.searches.append(
            {"method": method, "axes": {"dataset": "glyphs"}, "space": SPACE, "select_by": select_by, "chosen": 4}
            | {"settings": settings}
        )
    return study


def _setting(number: int, value: float | None) -> dict[str, Any]:
    params = {"loss.scale": 1.0 + number, "optimizer.lr": 10 ** (-4 + number / 4), "optimizer.name": "adam"}
    return {"number": number, "params": params, "value": value, "state": STATES[number], "runs": []}


def test_history_draws_settings_the_best_so_far_and_those_without_a_value() -> None:
    figure = plots.search_history(searched("a").results())
    complete = line(figure, "setting, mean over its runs")
    assert complete.get_xdata().tolist() == [0, 2, 3, 4, 5, 6, 7]
    assert complete.get_ydata().tolist() == pytest.approx([50, 60, 55, 70, 65, 52, 58])
    assert line(figure, "best so far").get_ydata().tolist() == pytest.approx([50, 60, 60, 70, 70, 70, 70])
    assert list(line(figure, "stopped early (no value)").get_xdata()) == [1]
    assert list(line(figure, "failed (no value)").get_xdata()) == [8]
    assert list(line(figure, "chosen").get_xdata()) == [4]
    assert figure.axes[0].get_ylabel() == "MAP@R, validation (%)"


def test_history_of_a_metric_that_should_be_small_goes_down() -> None:
    figure = plots.search_history(
        searched("a", select_by="label_distance_at_1").results(), metric="label_distance_at_1"
    )
    assert line(figure, "best so far").get_ydata()[-1] == pytest.approx(0.5)


def test_histories_have_a_panel_per_search_and_name_what_differs() -> None:
    figure = plots.search_history(searched("a, with a comma", "b").results())
    assert [ax.get_title() for ax in figure.axes] == ["a, with a comma", "b"]
    only = plots.search_history(searched("a, with a comma", "b").results(), methods=["a, with a comma"])
    assert [ax.get_title() for ax in only.axes] == ["a, with a comma"]


def test_a_study_without_searches_has_no_history() -> None:
    study = Study()
    study.add("a", [0.5, 0.6, 0.7])
    with pytest.raises(DmlStudyError, match="the results have no search"):
        plots.search_history(study.results())
    with pytest.raises(DmlStudyError, match="no search and no method with several settings"):
        plots.parallel_coordinates(study.results())


def test_parallel_coordinates_place_values_on_linear_logarithmic_and_named_axes() -> None:
    figure = plots.parallel_coordinates(searched("a").results())
    best = line(figure, "best setting")
    assert best.get_ydata() == pytest.approx([0.5, 0.5, 0.25, 1.0])
    lost = [each.get_ydata() for each in figure.axes[0].lines if each.get_linestyle() == ":"]
    assert np.array(lost) == pytest.approx(np.array([[0.125, 0.125, 0.25], [1.0, 1.0, 0.25]]))
    names = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert names == ["scale", "lr\n(log)", "name", "MAP@R,\nvalidation (%)"]


def test_parallel_coordinates_of_compared_parameters_end_at_the_test_metric() -> None:
    study = Study(axes=["dataset", "loss.scale", "synthesis.ratio"])
    for index, (scale, ratio) in enumerate([(1, 0.1), (4, 0.1), (16, 0.1), (1, 0.2), (4, 0.2), (16, 0.2)]):
        study.add("a", [0.5 + 0.01 * index] * 3, loss__scale=scale, synthesis__ratio=ratio)
    figure = plots.parallel_coordinates(study.results())
    assert line(figure, "best setting").get_ydata() == pytest.approx([1.0, 1.0, 1.0])
    labels = [text for text in texts_in(figure) if text in ("1", "4", "16", "0.1", "0.2", "50.00", "55.00")]
    assert sorted(labels) == ["0.1", "0.2", "1", "16", "4", "50.00", "55.00"]
    assert figure.axes[0].get_xticklabels()[0].get_text() == "scale\n(log)"


def test_importance_draws_both_evaluators_and_says_how_many_settings() -> None:
    figure = plots.importance_bars(searched("a").results())
    (ax,) = figure.axes
    widths = np.array([patch.get_width() for patch in ax.patches]).reshape(2, -1)
    assert widths.sum(axis=1) == pytest.approx([100, 100])
    assert ax.get_title().replace("\N{NO-BREAK SPACE}", " ") == "a, n = 7"
    assert {text for text in texts_in(figure) if "ANOVA" in text} == {"PED-ANOVA", "fANOVA, as a check"}


def test_nothing_overlaps_with_many_searches_and_long_names() -> None:
    study = searched(*[f"a method number {index} with a long name, $_{{x}}$" for index in range(7)])
    for draw in (plots.search_history, plots.parallel_coordinates):
        assert_nothing_overlaps(draw(study.results()))
