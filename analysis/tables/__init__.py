"""Comparison tables: built once, printed as Markdown, LaTeX, HTML, Typst, CSV or on a terminal."""

from analysis.tables.comparison import comparison_table
from analysis.tables.formats.rendering import FORMATS, render
from analysis.tables.formats.terminal import terminal
from analysis.tables.model import Cell, Column, Row, Table
from analysis.tables.quoted import with_published
from analysis.tables.stars import with_stars

__all__ = [
    "FORMATS",
    "Cell",
    "Column",
    "Row",
    "Table",
    "comparison_table",
    "render",
    "terminal",
    "with_published",
    "with_stars",
]
