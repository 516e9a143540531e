"""Figures for papers: drawn without pyplot, so that nothing stays open and no global state changes."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.plots.kinds import Plot, PlotOptions
    from analysis.plots.methods.bar_charts import bars
    from analysis.plots.methods.costs import cost_quality
    from analysis.plots.methods.critical import critical_difference_diagram
    from analysis.plots.methods.deformed import robustness
    from analysis.plots.methods.deltas import forest
    from analysis.plots.methods.depths import metric_at_k
    from analysis.plots.methods.profile_curves import performance_profiles
    from analysis.plots.methods.teachers import teacher_gap
    from analysis.plots.networks.embedding_maps import EmbeddingGroup, embedding_map
    from analysis.plots.networks.retrievals import Picture, class_confusion, retrieval_gallery
    from analysis.plots.networks.similarity import proxy_similarity
    from analysis.plots.parameters.heatmaps import heatmap
    from analysis.plots.parameters.histories import search_history
    from analysis.plots.parameters.importances import importance_bars
    from analysis.plots.parameters.landscapes import contours
    from analysis.plots.parameters.parallel import parallel_coordinates
    from analysis.plots.parameters.sensitivities import sensitivity
    from analysis.plots.registry import PLOTS
    from analysis.plots.shared.style import save
    from analysis.plots.training.curricula import timelines
    from analysis.plots.training.curves import learning_curves

_HOMES = {
    "EmbeddingGroup": "networks.embedding_maps",
    "PLOTS": "registry",
    "Picture": "networks.retrievals",
    "Plot": "kinds",
    "PlotOptions": "kinds",
    "bars": "methods.bar_charts",
    "class_confusion": "networks.retrievals",
    "contours": "parameters.landscapes",
    "cost_quality": "methods.costs",
    "critical_difference_diagram": "methods.critical",
    "embedding_map": "networks.embedding_maps",
    "forest": "methods.deltas",
    "heatmap": "parameters.heatmaps",
    "importance_bars": "parameters.importances",
    "learning_curves": "training.curves",
    "metric_at_k": "methods.depths",
    "parallel_coordinates": "parameters.parallel",
    "performance_profiles": "methods.profile_curves",
    "proxy_similarity": "networks.similarity",
    "retrieval_gallery": "networks.retrievals",
    "robustness": "methods.deformed",
    "save": "shared.style",
    "search_history": "parameters.histories",
    "sensitivity": "parameters.sensitivities",
    "teacher_gap": "methods.teachers",
    "timelines": "training.curricula",
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
