"""Kinds of figures that show what searches, curricula and whole collections of studies did; see `registry`."""

from typing import TYPE_CHECKING

from analysis.plots.kinds import Plot, PlotOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.loading import Results


def _timelines(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.training.curricula import timelines

    return timelines(results, metric=options.metric, methods=options.methods)


def _history(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.parameters.histories import search_history

    return search_history(results, metric=options.metric, methods=options.methods)


def _importance(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.parameters.importances import importance_bars

    return importance_bars(results, metric=options.metric, methods=options.methods)


def _parallel(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.parameters.parallel import parallel_coordinates

    return parallel_coordinates(results, metric=options.metric, methods=options.methods)


def _profiles(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.methods.profile_curves import performance_profiles

    return performance_profiles(results, metric=options.metric, methods=options.methods)


def _critical(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.methods.critical import critical_difference_diagram

    return critical_difference_diagram(results, metric=options.metric, methods=options.methods)


def _cost(results: "Results", options: PlotOptions) -> "Figure":
    from analysis.plots.methods.costs import cost_quality

    return cost_quality(results, metric=options.metric, cost=options.x or "train_seconds", methods=options.methods)


STUDY_PLOTS = (
    Plot("timelines", "curricula and events by epoch, under the learning curve", _timelines),
    Plot("search-history", "what each setting of a search reached, and the best so far", _history),
    Plot("importance", "how much of the difference each searched or compared parameter explains", _importance),
    Plot("parallel", "settings as lines through the values of their parameters", _parallel),
    Plot("profiles", "how often each method comes how near the best one, over datasets and seeds", _profiles),
    Plot("critical-difference", "mean ranks over six datasets or more, with Nemenyi's test", _critical),
    Plot("cost", "the metric over training time, or over the cost that --x names, with the Pareto front", _cost),
)
