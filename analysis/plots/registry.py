"""The kinds of figures, by name."""

import re
from typing import TYPE_CHECKING

from analysis.plots.kinds import Plot, PlotOptions, drawn_by
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.loading import Results
    from analysis.plots.shared.curve_lines import By

DEFAULT_PLOTS = ("heatmap", "curves")
"""What is drawn where no kind is named."""


def _heatmap(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.parameters.heatmaps import heatmap

    return heatmap(
        results,
        x=options.x,
        y=options.y,
        metric=options.metric,
        methods=options.methods,
        show=options.show,
        spread=options.spread or "std",
    )


def _contours(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.parameters.landscapes import contours

    return contours(results, x=options.x, y=options.y, metric=options.metric, methods=options.methods)


def _curves(results: "Results", options: PlotOptions) -> "Figure":
    return _learning_curves(results, options, "epoch")


def _curves_by_steps(results: "Results", options: PlotOptions) -> "Figure":
    return _learning_curves(results, options, "steps")


def _curves_by_time(results: "Results", options: PlotOptions) -> "Figure":
    return _learning_curves(results, options, "time")


def _learning_curves(results: "Results", options: PlotOptions, by: "By") -> "Figure":
    from analysis.plots.training.curves import learning_curves

    band = options.spread or "interval"
    return learning_curves(results, metric=options.metric, methods=options.methods, band=band, by=by)


def _sensitivity(results: "Results", options: PlotOptions) -> "list[Figure]":
    """Along the parameter that was named, else a figure for each."""
    from analysis.plots.parameters.sensitivities import sensitivity, varying_axes

    axes = [options.x] if options.x else varying_axes(results, options.methods)
    if not axes:
        raise DmlStudyError("no numeric parameter was compared at several values")
    spread = options.spread or "interval"
    return [
        sensitivity(results, axis=axis, metric=options.metric, methods=options.methods, spread=spread) for axis in axes
    ]


def _metric_at_k(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.methods.depths import metric_at_k

    return metric_at_k(results, metric=_at_depth(options), methods=options.methods, spread=options.spread or "interval")


def _at_depth(options: PlotOptions) -> str:
    """The metric without its k; Recall for one that has none."""
    found = re.fullmatch(r"(.+)_at_\d+", options.metric)
    return found[1] if found else "recall" if options.metric == PlotOptions.metric else options.metric


def _cost(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.methods.costs import cost_quality

    return cost_quality(results, metric=options.metric, cost=options.x or "train_seconds", methods=options.methods)


_bars = drawn_by("bars", spread="interval")
_critical_difference = drawn_by("critical_difference_diagram")
_forest = drawn_by("forest")
_importance = drawn_by("importance_bars")
_parallel = drawn_by("parallel_coordinates")
_profiles = drawn_by("performance_profiles")
_robustness = drawn_by("robustness", spread="interval")
_search_history = drawn_by("search_history")
_teacher_gap = drawn_by("teacher_gap", spread="interval")
_timelines = drawn_by("timelines")

PLOTS: dict[str, Plot] = {
    plot.name: plot
    for plot in (
        Plot("heatmap", "mean and spread at every pair of two compared parameters (--x, --y)", _heatmap),
        Plot("contours", "mean between the settings of a search, which lie on no grid (--x, --y)", _contours),
        Plot("curves", "learning curves by epoch, with intervals over seeds", _curves),
        Plot("curves-steps", "learning curves by steps of the optimizer", _curves_by_steps),
        Plot("curves-time", "learning curves by time on the clock", _curves_by_time),
        Plot("sensitivity", "a metric against one compared parameter (--x), a line per method", _sensitivity),
        Plot("at-k", "Recall@k, or another metric, against k", _metric_at_k, about=_at_depth),
        Plot("robustness", "a metric against the strength of deformations of the test images", _robustness),
        Plot("forest", "difference of every method to its baseline; claims with their tests", _forest),
        Plot("bars", "every method on every dataset", _bars),
        Plot("teacher-gap", "students between the same network without transfer and their teacher", _teacher_gap),
        Plot("timelines", "curricula and events by epoch, under the learning curve", _timelines),
        Plot("search-history", "what each setting of a search reached, and the best so far", _search_history),
        Plot("importance", "how much of the difference each searched or compared parameter explains", _importance),
        Plot("parallel", "settings as lines through the values of their parameters", _parallel),
        Plot("profiles", "how often each method comes how near the best one, over datasets and seeds", _profiles),
        Plot("critical-difference", "mean ranks over six datasets or more, with Nemenyi's test", _critical_difference),
        Plot("cost", "the metric over training time, or over the cost that --x names, with the Pareto front", _cost),
    )
}
