"""Marks of significance behind differences to baselines."""

from collections.abc import Mapping
from dataclasses import replace

from analysis.cells import CellKey
from analysis.tables.model import Cell, Table

Stars = Mapping[tuple[CellKey, CellKey, str], str]
"""Cell, the cell that it is compared with, column of the metric -> "", "*", "**", ..."""


def with_stars(table: Table, stars: Stars, note: str) -> Table:
    """The table with stars behind the differences that have some, and what they mean as a footnote.

    Args:
        stars: of tested claims; what is not in it has none.
        note: left out where it is empty.
    """
    rows = tuple(replace(row, cells=tuple(_starred(cell, stars) for cell in row.cells)) for row in table.rows)
    return replace(table, rows=rows, footnotes=(*table.footnotes, *([note] if note else [])))


def _starred(cell: Cell, stars: Stars) -> Cell:
    if cell.delta is None or cell.key is None or cell.baseline is None:
        return cell
    return replace(cell, stars=stars.get((cell.key, cell.baseline, cell.metric.column), ""))
