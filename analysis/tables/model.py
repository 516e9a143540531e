"""A comparison table as values, before any rendering."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.metrics import Metric
from analysis.statistics import Comparison, Summary


@dataclass(frozen=True)
class Column:
    """One dataset and metric.

    Attributes:
        delta: whether a column of differences to the baseline follows.
    """

    dataset: str
    metric: Metric
    delta: bool = False

    @property
    def flag(self) -> str:
        """Mark behind the metric's name that a footnote explains."""
        return "†" if self.metric.selected_on_test else ""


@dataclass(frozen=True)
class Cell:
    """What stands in one row and column, in the column's unit.

    Attributes:
        delta: to the baseline; None where the method has none, NaN where one of the two is missing.
    """

    summary: Summary
    bold: bool = False
    delta: Comparison | None = None


@dataclass(frozen=True)
class Row:
    """One method at one setting of the compared parameters.

    Attributes:
        labels: one text per heading; the method's name is among them.
        block: rows of one block belong together, a gap separates blocks.
        reading: the rows that it is compared with have the same; None where there is one reading.
        protocols: by dataset, the fields of `analysis.protocol_columns` for the runs behind the numbers.
    """

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    block: int = 0
    reading: str | None = None
    protocols: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows by columns, with everything that a reader must know in the footnotes.

    Attributes:
        headings: of the row labels.
        grouped_by: what the upper header names: the dataset, with metrics below it, or the other way round.
    """

    title: str
    headings: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    grouped_by: str = "dataset"

    def _repr_markdown_(self) -> str:
        from analysis.tables.rendering import render

        return render(self, "markdown")
