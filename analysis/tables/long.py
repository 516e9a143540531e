"""A comparison table as a data frame: a row per number."""

from typing import TYPE_CHECKING, Any

from analysis.tables.model import Cell, Column, Table

if TYPE_CHECKING:
    import pandas as pd


def long_frame(table: Table) -> "pd.DataFrame":
    """One row per row and column of the table, in its order; unrounded, in the unit that is shown.

    Columns: the headings of the row labels, column (its name), dataset, metric (the column of `Results.runs`), unit,
    mean, std, n, low and high (95 % interval), bold, second, and of the difference to the baseline delta, delta_low,
    delta_high and stars. NaN where there is no number.
    """
    import pandas as pd

    rows = [
        {**dict(zip(table.headings, row.labels, strict=True)), **_numbers(cell, column)}
        for row in table.rows
        for cell, column in zip(row.cells, table.columns, strict=True)
    ]
    return pd.DataFrame(rows)


def _numbers(cell: Cell, column: Column) -> dict[str, Any]:
    summary, delta = cell.summary, cell.delta
    return {
        **{"column": column.name, "dataset": cell.dataset or column.dataset},
        **{"metric": cell.metric.column, "unit": cell.metric.unit},
        **{"mean": summary.mean, "std": summary.std, "n": summary.n, "low": summary.low, "high": summary.high},
        **{"bold": cell.bold, "second": cell.second},
        "delta": delta.difference if delta else float("nan"),
        "delta_low": delta.low if delta else float("nan"),
        "delta_high": delta.high if delta else float("nan"),
        "stars": cell.stars,
    }
