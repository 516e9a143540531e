"""The formats that a table is printed in."""

from collections.abc import Callable

from analysis.tables.formats.csv_text import csv_text
from analysis.tables.formats.html import html, html_document
from analysis.tables.formats.latex import latex, latex_document
from analysis.tables.formats.markdown import markdown
from analysis.tables.formats.typst import typst
from analysis.tables.model import Table
from trainables.errors import DmlStudyError
from trainables.spelling import nearest

FORMATS: dict[str, Callable[[Table], str]] = {
    "markdown": markdown,
    "latex": latex,
    "latex-document": latex_document,
    "html": html,
    "html-document": html_document,
    "typst": typst,
    "csv": csv_text,
}


def render(table: Table, format: str) -> str:
    """The table as text in one of `FORMATS`; "latex-document" compiles alone,
    "html-document" is a page.

    Raises:
        DmlStudyError: there is no such format.
    """
    if format not in FORMATS:
        raise DmlStudyError(f"unknown table format '{format}'; {nearest(format, dict(FORMATS))}")
    return FORMATS[format](table)
