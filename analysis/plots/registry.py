"""The kinds of figures, by name."""

from analysis.plots.comparing import COMPARING
from analysis.plots.kinds import Plot
from analysis.plots.study_kinds import STUDY_PLOTS

DEFAULT_PLOTS = ("heatmap", "curves")
"""What is drawn where no kind is named."""

PLOTS: dict[str, Plot] = {plot.name: plot for plot in (*COMPARING, *STUDY_PLOTS)}
