"""Comma-separated values: every number in a column of its own, in the unit of the header, unrounded."""

import csv
from collections.abc import Iterator
from io import StringIO
from math import isfinite

from analysis.cells import CellKey
from analysis.protocol.columns import FIELDS
from analysis.tables.model import Cell, Column, Protocols, Row, Table


def csv_text(table: Table) -> str:
    """One line per row of the table. Missing numbers are empty; footnotes are left out, flags stand in the header.

    Behind the numbers stands the protocol of the runs that they come from, for each dataset: "glyphs dataset_revision",
    "glyphs backbone", "glyphs embedding_dim", "glyphs crops", "glyphs selection", ... (`protocol.columns.FIELDS`);
    without the dataset where rows name it.
    """
    datasets = list(dict.fromkeys(column.dataset for column in table.columns))
    protocols, told = table.protocols(), [(dataset, name) for dataset in datasets for name in FIELDS]
    second = any(cell.second for row in table.rows for cell in row.cells)
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name for column in table.columns for name in _names(column, second=second)]
    writer.writerow([*table.headings, *names, *(" ".join(filter(None, each)) for each in told)])
    for row in table.rows:
        pairs = zip(row.cells, table.columns, strict=True)
        numbers = [value for cell, column in pairs for value in _values(cell, column, second=second)]
        known = {dataset: list(_keys(table, row, dataset)) for dataset in datasets}
        writer.writerow([*row.labels, *numbers, *(_told(protocols, known[dataset], name) for dataset, name in told)])
    return out.getvalue()


def _keys(table: Table, row: Row, dataset: str | None) -> Iterator[CellKey]:
    for cell, column in zip(row.cells, table.columns, strict=True):
        if column.dataset == dataset and cell.key is not None:
            yield cell.key


def _told(protocols: Protocols, keys: list[CellKey], name: str) -> str:
    texts = [protocols.get(key, {}).get(name, "") for key in keys]
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _names(column: Column, *, second: bool) -> list[str]:
    parts = ["mean", "std", "n", "low", "high", "bold", *(["second"] if second else [])]
    if column.delta:
        parts += ["delta", "delta low", "delta high", "delta p", "delta n", "delta paired"]
    return [f"{column.name} {part}" for part in parts]


def _values(cell: Cell, column: Column, *, second: bool) -> list[str | int]:
    summary = cell.summary
    mean, std, low, high = map(_number, (summary.mean, summary.std, summary.low, summary.high))
    marks = [int(cell.bold), *([int(cell.second)] if second else [])]
    return [mean, std, summary.n, low, high, *marks, *(_delta(cell) if column.delta else [])]


def _delta(cell: Cell) -> list[str | int]:
    delta = cell.delta
    if delta is None or not delta.n:
        return [""] * 6
    return [*map(_number, (delta.difference, delta.low, delta.high, delta.p_value)), delta.n, int(delta.paired)]


def _number(value: float) -> str:
    return f"{value:.10g}" if isfinite(value) else ""
