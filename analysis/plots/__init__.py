"""Figures for papers: drawn without pyplot, so that nothing stays open and no global state changes."""

from analysis.plots.curves import learning_curves
from analysis.plots.heatmaps import heatmap
from analysis.plots.style import save

__all__ = ["heatmap", "learning_curves", "save"]
