"""Comma-separated values: every number in a column of its own, in the unit of the header, unrounded."""

import csv
from io import StringIO
from math import isfinite

from analysis.protocol_columns import FIELDS
from analysis.tables.model import Cell, Column, Table


def csv_text(table: Table) -> str:
    """One line per row of the table. Missing numbers are empty; footnotes are left out, flags stand in the header.

    Behind the numbers stands the protocol of the runs that they come from, for each dataset: "glyphs dataset_revision",
    "glyphs backbone", "glyphs embedding_dim", "glyphs crops", "glyphs selection", ... (`protocol_columns.FIELDS`).
    """
    datasets = list(dict.fromkeys(column.dataset for column in table.columns))
    protocol = [(dataset, name) for dataset in datasets for name in FIELDS]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name for column in table.columns for name in _names(column)]
    writer.writerow([*table.headings, *names, *map(" ".join, protocol)])
    for row in table.rows:
        pairs = zip(row.cells, table.columns, strict=True)
        numbers = [value for cell, column in pairs for value in _values(cell, column)]
        told = [row.protocols.get(dataset, {}).get(name, "") for dataset, name in protocol]
        writer.writerow([*row.labels, *numbers, *told])
    return out.getvalue()


def _names(column: Column) -> list[str]:
    flag = " selected on test" if column.metric.selected_on_test else ""
    name = f"{column.dataset} {column.metric.title}{flag}"
    names = [f"{name} mean", f"{name} std", f"{name} n", f"{name} low", f"{name} high", f"{name} bold"]
    if not column.delta:
        return names
    return [*names, *(f"{name} delta{part}" for part in ("", " low", " high", " p", " n", " paired"))]


def _values(cell: Cell, column: Column) -> list[str | int]:
    summary = cell.summary
    mean, std, low, high = map(_number, (summary.mean, summary.std, summary.low, summary.high))
    return [mean, std, summary.n, low, high, int(cell.bold), *(_delta(cell) if column.delta else [])]


def _delta(cell: Cell) -> list[str | int]:
    delta = cell.delta
    if delta is None or not delta.n:
        return [""] * 6
    return [*map(_number, (delta.difference, delta.low, delta.high, delta.p_value)), delta.n, int(delta.paired)]


def _number(value: float) -> str:
    return f"{value:.10g}" if isfinite(value) else ""
