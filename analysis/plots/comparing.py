"""Kinds of figures that compare methods and values of parameters."""

import re
from typing import TYPE_CHECKING

from analysis.plots.kinds import Plot, PlotOptions
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.loading import Results
    from analysis.plots.shared.curve_lines import By


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


def _robustness(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.methods.deformed import robustness

    return robustness(results, metric=options.metric, methods=options.methods, spread=options.spread or "interval")


def _forest(results: "Results", options: PlotOptions) -> "list[Figure]":
    from analysis.plots.methods.deltas import forest

    return forest(results, metric=options.metric, methods=options.methods)


def _bars(results: "Results", options: PlotOptions) -> "list[Figure]":
    from analysis.plots.methods.bar_charts import bars

    return bars(results, metric=options.metric, methods=options.methods, spread=options.spread or "interval")


def _teacher_gap(results: "Results", options: PlotOptions) -> "list[Figure]":
    from analysis.plots.methods.teachers import teacher_gap

    return teacher_gap(results, metric=options.metric, methods=options.methods, spread=options.spread or "interval")


COMPARING = (
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
)
