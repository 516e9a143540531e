"""The kinds of figures, by name."""

from typing import TYPE_CHECKING

from analysis.plots.kinds import Plot, PlotOptions
from analysis.plots.study_kinds import STUDY_PLOTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.loading import Results

DEFAULT_PLOTS = ("heatmap", "curves")
"""What is drawn where no kind is named."""


def _heatmap(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.heatmaps import heatmap

    return heatmap(results, x=options.x, y=options.y, metric=options.metric, methods=options.methods, show=options.show)


def _curves(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.curves import learning_curves

    return learning_curves(results, metric=options.metric, methods=options.methods)


_COMPARISONS = (
    Plot("heatmap", "mean and spread at every pair of two compared parameters", _heatmap),
    Plot("curves", "learning curves by epoch, with intervals over seeds", _curves),
)

PLOTS: dict[str, Plot] = {plot.name: plot for plot in (*_COMPARISONS, *STUDY_PLOTS)}
