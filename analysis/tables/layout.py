"""A table as printed texts: which columns there are, and what stands in them. Shared by all renderers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from analysis.labels import MISSING
from analysis.statistics import Comparison
from analysis.tables.model import Cell, Column, Row, Table


@dataclass(frozen=True)
class Entry:
    """One printed field: the number, and what follows it in lighter type."""

    main: str
    tail: str = ""
    bold: bool = False

    @property
    def text(self) -> str:
        return f"{self.main} {self.tail}".strip()


@dataclass(frozen=True)
class Field:
    """One printed column's header; `group` is empty for row labels and wherever one group is all there is."""

    group: str
    label: str
    numeric: bool = True

    @property
    def text(self) -> str:
        return f"{self.group} {self.label}".strip()


@dataclass(frozen=True)
class Layout:
    """Header and body. A method's name is printed once per block."""

    fields: tuple[Field, ...]
    body: tuple[tuple[Entry, ...], ...]
    blocks: tuple[int, ...]


def lay_out(table: Table) -> Layout:
    """Texts of every field of the table."""
    groups = column_groups(table)
    n_per_group = any(len({_sizes(row, group) for group in groups} - {""}) > 1 for row in table.rows)
    fields = [Field("", heading, numeric=False) for heading in table.headings]
    bodies = [[Entry(text) for text in _labels(table, index)] for index in range(len(table.rows))]
    if not n_per_group:
        fields.append(Field("", "n"))
        _extend(bodies, [Entry(_sizes(row, range(len(table.columns))) or "0") for row in table.rows])
    for group in groups:
        if n_per_group:
            fields.append(Field(_group_name(table, group), "n"))
            _extend(bodies, [Entry(_sizes(row, group) or "0") for row in table.rows])
        for index in group:
            _add_column(fields, bodies, table, index)
    return Layout(tuple(fields), tuple(tuple(body) for body in bodies), tuple(row.block for row in table.rows))


def _add_column(fields: list[Field], bodies: list[list[Entry]], table: Table, index: int) -> None:
    column, group = table.columns[index], _group_name(table, (index,))
    by_dataset = table.grouped_by == "dataset"
    name = column.metric.label if by_dataset else column.dataset
    unit = f" ({column.metric.unit})" if column.metric.unit and by_dataset else ""
    fields.append(Field(group, f"{name}{column.flag}{unit}"))
    _extend(bodies, [value_entry(row.cells[index], column) for row in table.rows])
    if column.delta:
        fields.append(Field(group, f"Δ {name}"))
        _extend(bodies, [delta_entry(row.cells[index], column) for row in table.rows])


def _extend(bodies: list[list[Entry]], entries: Sequence[Entry]) -> None:
    for body, entry in zip(bodies, entries, strict=True):
        body.append(entry)


def column_groups(table: Table) -> list[tuple[int, ...]]:
    """Indices of the columns under each upper header."""
    groups: dict[str, list[int]] = {}
    for index, column in enumerate(table.columns):
        key = column.dataset if table.grouped_by == "dataset" else column.metric.column
        groups.setdefault(key, []).append(index)
    return [tuple(indices) for indices in groups.values()]


def _group_name(table: Table, group: Sequence[int]) -> str:
    column = table.columns[group[0]]
    if table.grouped_by == "metric":
        return column.metric.title
    return column.dataset if len({each.dataset for each in table.columns}) > 1 else ""


def _labels(table: Table, index: int) -> list[str]:
    labels = table.rows[index].labels
    names = table.headings.index("Method") + 1
    same = index > 0 and table.rows[index - 1].labels[:names] == labels[:names]
    return [*(("",) * names if same else labels[:names]), *labels[names:]]


def _sizes(row: Row, group: Sequence[int]) -> str:
    """ "3", or "2–3" where metrics or datasets have different numbers of seeds; empty where there are none."""
    sizes = sorted({row.cells[index].summary.n for index in group} - {0})
    return "–".join(str(size) for size in dict.fromkeys([*sizes[:1], *sizes[-1:]]))


def value_entry(cell: Cell, column: Column) -> Entry:
    """Mean ± standard deviation."""
    summary, decimals = cell.summary, column.metric.decimals
    if not summary.n:
        return Entry(MISSING)
    tail = f"± {summary.std:.{decimals}f}" if isfinite(summary.std) else ""
    return Entry(_signed(f"{summary.mean:.{decimals}f}"), tail, cell.bold)


def delta_entry(cell: Cell, column: Column) -> Entry:
    """Difference to the baseline with its interval; empty where there is none to compare with."""
    if cell.delta is None:
        return Entry("")
    return Entry(*delta_texts(cell.delta, column.metric.decimals))


def delta_texts(delta: Comparison, decimals: int) -> tuple[str, str]:
    """("+1.20", "[+0.70, +1.70]"); an unpaired difference is marked with a double dagger."""
    if not isfinite(delta.difference):
        return MISSING, ""
    mark = "" if delta.paired else "‡"
    interval = f"[{delta.low:+.{decimals}f}, {delta.high:+.{decimals}f}]" if isfinite(delta.low) else ""
    return _signed(f"{delta.difference:+.{decimals}f}") + mark, _signed(interval)


def _signed(text: str) -> str:
    return text.replace("-", "−")
