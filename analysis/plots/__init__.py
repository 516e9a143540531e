"""Figures for papers: drawn without pyplot, so that nothing stays open and no global state changes."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.plots.costs import cost_quality
    from analysis.plots.critical import critical_difference_diagram
    from analysis.plots.curricula import timelines
    from analysis.plots.curves import learning_curves
    from analysis.plots.heatmaps import heatmap
    from analysis.plots.histories import search_history
    from analysis.plots.importances import importance_bars
    from analysis.plots.kinds import Plot, PlotOptions
    from analysis.plots.parallel import parallel_coordinates
    from analysis.plots.profile_curves import performance_profiles
    from analysis.plots.registry import PLOTS
    from analysis.plots.style import save

_HOMES = {
    "PLOTS": "registry",
    "Plot": "kinds",
    "PlotOptions": "kinds",
    "heatmap": "heatmaps",
    "learning_curves": "curves",
    "timelines": "curricula",
    "search_history": "histories",
    "importance_bars": "importances",
    "parallel_coordinates": "parallel",
    "performance_profiles": "profile_curves",
    "critical_difference_diagram": "critical",
    "cost_quality": "costs",
    "save": "style",
}

__all__ = [
    "PLOTS",
    "Plot",
    "PlotOptions",
    "cost_quality",
    "critical_difference_diagram",
    "heatmap",
    "importance_bars",
    "learning_curves",
    "parallel_coordinates",
    "performance_profiles",
    "save",
    "search_history",
    "timelines",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"analysis.plots.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'analysis.plots' has no attribute '{name}'")
