"""Figures for papers: drawn without pyplot, so that nothing stays open and no global state changes."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.plots.bar_charts import bars
    from analysis.plots.curves import learning_curves
    from analysis.plots.deformed import robustness
    from analysis.plots.deltas import forest
    from analysis.plots.depths import metric_at_k
    from analysis.plots.heatmaps import heatmap
    from analysis.plots.kinds import Plot, PlotOptions
    from analysis.plots.landscapes import contours
    from analysis.plots.registry import PLOTS
    from analysis.plots.sensitivities import sensitivity
    from analysis.plots.style import save
    from analysis.plots.teachers import teacher_gap

_HOMES = {
    "PLOTS": "registry",
    "Plot": "kinds",
    "PlotOptions": "kinds",
    "bars": "bar_charts",
    "contours": "landscapes",
    "forest": "deltas",
    "heatmap": "heatmaps",
    "learning_curves": "curves",
    "metric_at_k": "depths",
    "robustness": "deformed",
    "save": "style",
    "sensitivity": "sensitivities",
    "teacher_gap": "teachers",
}

__all__ = [
    "PLOTS",
    "Plot",
    "PlotOptions",
    "bars",
    "contours",
    "forest",
    "heatmap",
    "learning_curves",
    "metric_at_k",
    "robustness",
    "save",
    "sensitivity",
    "teacher_gap",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"analysis.plots.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'analysis.plots' has no attribute '{name}'")
