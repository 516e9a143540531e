"""One self-contained HTML page about studies. Reached as `analysis.report`."""

from analysis.reports.building import early_page, main_metric, report, sections, whole_page, without_values
from analysis.reports.model import About, Names, StudyState
from analysis.reports.pictures import Figures, draw_figures, figures

__all__ = [
    "About",
    "Figures",
    "Names",
    "StudyState",
    "draw_figures",
    "early_page",
    "figures",
    "main_metric",
    "report",
    "sections",
    "whole_page",
    "without_values",
]
