"""Figures for papers: drawn without pyplot, so that nothing stays open and no global state changes."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.plots.bar_charts import bars
    from analysis.plots.costs import cost_quality
    from analysis.plots.critical import critical_difference_diagram
    from analysis.plots.curricula import timelines
    from analysis.plots.curves import learning_curves
    from analysis.plots.deformed import robustness
    from analysis.plots.deltas import forest
    from analysis.plots.depths import metric_at_k
    from analysis.plots.embedding_maps import EmbeddingGroup, embedding_map
    from analysis.plots.heatmaps import heatmap
    from analysis.plots.histories import search_history
    from analysis.plots.importances import importance_bars
    from analysis.plots.kinds import Plot, PlotOptions
    from analysis.plots.landscapes import contours
    from analysis.plots.parallel import parallel_coordinates
    from analysis.plots.profile_curves import performance_profiles
    from analysis.plots.registry import PLOTS
    from analysis.plots.retrievals import Picture, class_confusion, retrieval_gallery
    from analysis.plots.sensitivities import sensitivity
    from analysis.plots.similarity import proxy_similarity
    from analysis.plots.style import save
    from analysis.plots.teachers import teacher_gap

_HOMES = {
    "EmbeddingGroup": "embedding_maps",
    "PLOTS": "registry",
    "Picture": "retrievals",
    "Plot": "kinds",
    "PlotOptions": "kinds",
    "bars": "bar_charts",
    "class_confusion": "retrievals",
    "contours": "landscapes",
    "cost_quality": "costs",
    "critical_difference_diagram": "critical",
    "embedding_map": "embedding_maps",
    "forest": "deltas",
    "heatmap": "heatmaps",
    "importance_bars": "importances",
    "learning_curves": "curves",
    "metric_at_k": "depths",
    "parallel_coordinates": "parallel",
    "performance_profiles": "profile_curves",
    "proxy_similarity": "similarity",
    "retrieval_gallery": "retrievals",
    "robustness": "deformed",
    "save": "style",
    "search_history": "histories",
    "sensitivity": "sensitivities",
    "teacher_gap": "teachers",
    "timelines": "curricula",
}

__all__ = [
    "PLOTS",
    "EmbeddingGroup",
    "Picture",
    "Plot",
    "PlotOptions",
    "bars",
    "class_confusion",
    "contours",
    "cost_quality",
    "critical_difference_diagram",
    "embedding_map",
    "forest",
    "heatmap",
    "importance_bars",
    "learning_curves",
    "metric_at_k",
    "parallel_coordinates",
    "performance_profiles",
    "proxy_similarity",
    "retrieval_gallery",
    "robustness",
    "save",
    "search_history",
    "sensitivity",
    "teacher_gap",
    "timelines",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"analysis.plots.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'analysis.plots' has no attribute '{name}'")
