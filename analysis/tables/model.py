"""A comparison table as values, before any rendering."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis.cells import CellKey
from analysis.metrics import Metric
from analysis.statistics import Comparison, Summary

if TYPE_CHECKING:
    import pandas as pd

Protocols = Mapping[CellKey, Mapping[str, str]]


@dataclass(frozen=True)
class Column:
    """One column of numbers.

    Attributes:
        headers: its header from the outermost level to the one right above the numbers.
        short: the innermost header without unit and flag.
        name: unique in the table, with everything that the headers leave out: for programs.
        dataset, metric: of all its numbers; None where rows name it.
        delta: whether a column of differences to the baseline follows.
    """

    headers: tuple[str, ...]
    short: str
    name: str
    dataset: str | None
    metric: Metric | None
    delta: bool = False


@dataclass(frozen=True)
class Cell:
    """What stands in one row and column, in the metric's unit.

    Attributes:
        second: the second best of its rivals.
        delta: to the baseline; None where the method has none, NaN where one of the two is missing.
        stars: behind the difference; see `stars.with_stars`.
        key: the planned cell that the numbers come from; None where the plan has none.
        baseline: the planned cell that `delta` is to.
        dataset: of the planned cell.
        contest: cells with the same one are rivals: the best of them is bold.
    """

    summary: Summary
    metric: Metric
    bold: bool = False
    second: bool = False
    delta: Comparison | None = None
    stars: str = ""
    key: CellKey | None = None
    baseline: CellKey | None = None
    dataset: str | None = None
    contest: object = None


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        labels: one text per heading.
        block: rows of one block belong together, a gap separates blocks.
        reading: what it shows of several models; None where there is one reading, or several in the row.
        quoted: numbers that somebody else published.
    """

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    block: int = 0
    reading: str | None = None
    quoted: bool = False


@dataclass(frozen=True)
class Table:
    """Rows by columns, with everything that a reader must know in the footnotes.

    Attributes:
        headings: of the row labels.
        shown: what stands beside a mean: some of "std", "interval", "n", "delta".
        spans: numbers of leading labels that are printed once where they stay equal from row to row.
        protocols: the fields of `analysis.protocol.columns` for every cell; a function, since printed tables need none.
    """

    title: str
    headings: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    shown: tuple[str, ...] = ("std", "n", "delta")
    spans: tuple[int, ...] = ()
    protocols: Callable[[], Protocols] = field(default=dict, repr=False, compare=False)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric that it shows, in the order of the columns, then of the rows."""
        by_column = (column.metric for column in self.columns if column.metric)
        return tuple(dict.fromkeys([*by_column, *(cell.metric for row in self.rows for cell in row.cells)]))

    def cells_of(self, column: Column) -> tuple[Cell, ...]:
        """Its cells, top down."""
        index = self.columns.index(column)
        return tuple(row.cells[index] for row in self.rows)

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per number; see `long_frame`."""
        from analysis.tables.long import long_frame

        return long_frame(self)

    def _repr_markdown_(self) -> str:
        from analysis.tables.formats.rendering import render

        return render(self, "markdown")

    def _repr_html_(self) -> str:
        from analysis.tables.formats.rendering import render

        return render(self, "html")
