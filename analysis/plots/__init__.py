"""Figures for papers: drawn without pyplot, so that nothing stays open and no global state changes."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.plots.curves import learning_curves
    from analysis.plots.heatmaps import heatmap
    from analysis.plots.kinds import Plot, PlotOptions
    from analysis.plots.registry import PLOTS
    from analysis.plots.style import save

_HOMES = {
    "PLOTS": "registry",
    "Plot": "kinds",
    "PlotOptions": "kinds",
    "heatmap": "heatmaps",
    "learning_curves": "curves",
    "save": "style",
}

__all__ = ["PLOTS", "Plot", "PlotOptions", "heatmap", "learning_curves", "save"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"analysis.plots.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'analysis.plots' has no attribute '{name}'")
