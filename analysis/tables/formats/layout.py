"""A table as printed texts: which columns there are, and what stands in them. Shared by all renderers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite

from analysis.labels import MISSING
from analysis.statistics import Comparison
from analysis.tables.model import Cell, Row, Table


@dataclass(frozen=True)
class Entry:
    """One printed field: the number, and what follows it in lighter type.

    Attributes:
        underlined: the second best.
        again: a label that is left out because the row above has the same.
        number: what the field is sorted by; None for texts and missing numbers.
    """

    main: str
    tail: str = ""
    bold: bool = False
    underlined: bool = False
    again: str = ""
    number: float | None = None

    @property
    def text(self) -> str:
        return f"{self.main} {self.tail}".strip()


@dataclass(frozen=True)
class Field:
    """One printed column's header.

    Attributes:
        groups: headers above `label`, outermost first; empty texts for row labels and wherever one is all there is.
    """

    groups: tuple[str, ...]
    label: str
    numeric: bool = True

    @property
    def group(self) -> str:
        return " ".join(filter(None, self.groups))

    @property
    def text(self) -> str:
        return f"{self.group} {self.label}".strip()


@dataclass(frozen=True)
class Layout:
    """Header and body. A method's name is printed once per block."""

    fields: tuple[Field, ...]
    body: tuple[tuple[Entry, ...], ...]
    blocks: tuple[int, ...]

    def header_levels(self) -> Iterator[list[tuple[str, int]]]:
        """Upper header rows from the top, each as (text, number of fields that it spans)."""
        for level in range(max((len(field.groups) for field in self.fields), default=0)):
            spans = groupby(self.fields, key=lambda field: field.groups[: level + 1])
            found = [(groups[level], len(list(members))) for groups, members in spans]
            if any(text for text, _ in found):
                yield found

    def starts_block(self, index: int) -> bool:
        """Whether a gap stands above a row."""
        return index > 0 and self.blocks[index] != self.blocks[index - 1]


def lay_out(table: Table) -> Layout:
    """Texts of every field of the table."""
    groups = column_groups(table)
    depth = max((len(column.headers) - 1 for column in table.columns), default=0)
    with_n = "n" in table.shown
    n_per_group = with_n and any(len({_sizes(row, group) for group in groups} - {""}) > 1 for row in table.rows)
    fields = [Field(("",) * depth, heading, numeric=False) for heading in table.headings]
    bodies = [_labels(table, index) for index in range(len(table.rows))]
    if with_n and not n_per_group:
        fields.append(Field(("",) * depth, "n"))
        _extend(bodies, [_size_entry(row, range(len(table.columns))) for row in table.rows])
    for group in groups:
        if n_per_group:
            upper = (*table.columns[group[0]].headers[:-1][:1], *[""] * depth)
            fields.append(Field(upper[:depth], "n"))
            _extend(bodies, [_size_entry(row, group) for row in table.rows])
        for index in group:
            _add_column(fields, bodies, table, index)
    return Layout(tuple(fields), tuple(tuple(body) for body in bodies), tuple(row.block for row in table.rows))


def _add_column(fields: list[Field], bodies: list[list[Entry]], table: Table, index: int) -> None:
    column = table.columns[index]
    fields.append(Field(column.headers[:-1], column.headers[-1]))
    _extend(bodies, [value_entry(row.cells[index], table.shown) for row in table.rows])
    if column.delta:
        fields.append(Field(column.headers[:-1], f"Δ {column.short}"))
        _extend(bodies, [delta_entry(row.cells[index]) for row in table.rows])


def _extend(bodies: list[list[Entry]], entries: Sequence[Entry]) -> None:
    for body, entry in zip(bodies, entries, strict=True):
        body.append(entry)


def column_groups(table: Table) -> list[tuple[int, ...]]:
    """Indices of the columns under each header of the outermost level."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, column in enumerate(table.columns):
        groups.setdefault(column.headers[:-1][:1], []).append(index)
    return [tuple(indices) for indices in groups.values()]


def _labels(table: Table, index: int) -> list[Entry]:
    labels = table.rows[index].labels
    above = table.rows[index - 1].labels if index else ()
    repeated = max((span for span in table.spans if labels[:span] == above[:span]), default=0)
    return [Entry("", again=text) if place < repeated else Entry(text) for place, text in enumerate(labels)]


def _size_entry(row: Row, group: Sequence[int]) -> Entry:
    text = _sizes(row, group) or (MISSING if row.quoted else "0")
    return Entry(text, number=float(text) if text.isdigit() else None)


def _sizes(row: Row, group: Sequence[int]) -> str:
    """ "3", or "2–3" where metrics or datasets have different numbers of seeds; empty where there are none."""
    sizes = sorted({row.cells[index].summary.n for index in group} - {0})
    return "–".join(str(size) for size in dict.fromkeys([*sizes[:1], *sizes[-1:]]))


def value_entry(cell: Cell, shown: Sequence[str] = ("std",)) -> Entry:
    """Mean ± standard deviation, or what else is shown of a cell."""
    summary, decimals = cell.summary, cell.metric.decimals
    if not isfinite(summary.mean):
        return Entry(MISSING)
    parts = [f"± {summary.std:.{decimals}f}"] if "std" in shown and isfinite(summary.std) else []
    if "interval" in shown and isfinite(summary.low):
        parts.append(f"[{summary.low:.{decimals}f}, {summary.high:.{decimals}f}]")
    main = _signed(f"{summary.mean:.{decimals}f}")
    return Entry(main, _signed(" ".join(parts)), cell.bold, cell.second, number=summary.mean)


def delta_entry(cell: Cell) -> Entry:
    """Difference to the baseline with its interval; empty where there is none to compare with."""
    if cell.delta is None:
        return Entry("")
    main, tail = delta_texts(cell.delta, cell.metric.decimals)
    return Entry(main + cell.stars, tail, number=cell.delta.difference if isfinite(cell.delta.difference) else None)


def delta_texts(delta: Comparison, decimals: int) -> tuple[str, str]:
    """("+1.20", "[+0.70, +1.70]"); an unpaired difference is marked with a double dagger."""
    if not isfinite(delta.difference):
        return MISSING, ""
    mark = "" if delta.paired else "‡"
    interval = f"[{delta.low:+.{decimals}f}, {delta.high:+.{decimals}f}]" if isfinite(delta.low) else ""
    return _signed(f"{delta.difference:+.{decimals}f}") + mark, _signed(interval)


def _signed(text: str) -> str:
    return text.replace("-", "−")
