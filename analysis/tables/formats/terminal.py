"""The table on a rich console, as wide as the console allows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analysis.tables.formats.layout import Entry, column_groups, lay_out
from analysis.tables.model import Table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text


def terminal(table: Table) -> "RenderableType":
    """Something that `rich.print` shows: the table with its footnotes below; several tables where
    the console is too narrow for one."""
    return _Terminal(table)


@dataclass(frozen=True)
class _Terminal:
    table: Table

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        from rich.text import Text

        def fits(part: Table, *, stacked: bool = True) -> bool:
            grid = _grid(part, stacked=stacked)
            return console.measure(grid, options=options.update(max_width=1000)).maximum <= options.max_width

        stacked = not fits(self.table, stacked=False)
        yield from (_grid(part, stacked=stacked) for part in _parts(self.table, fits))
        for note in self.table.footnotes:
            yield Text(note, style="dim")


def _parts(table: Table, fits: Callable[[Table], bool]) -> list[Table]:
    """The whole table, else one per upper header, else as many columns of it together as fit."""
    if fits(table):
        return [table]
    parts = []
    for group in column_groups(table):
        start = 0
        for stop in range(1, len(group) + 1):
            if stop == len(group) or not fits(_part(table, group[start : stop + 1])):
                parts.append(_part(table, group[start:stop]))
                start = stop
    return parts


def _part(table: Table, group: tuple[int, ...]) -> Table:
    columns = tuple(table.columns[index] for index in group)
    rows = tuple(replace(row, cells=tuple(row.cells[index] for index in group)) for row in table.rows)
    name = columns[0].headers[0] if len(columns[0].headers) > 1 else ""
    return replace(table, title=": ".join(filter(None, [table.title, name])), columns=columns, rows=rows)


def _grid(table: Table, *, stacked: bool) -> "RichTable":
    """`stacked` puts the words of row headings below each other; numbers are never folded."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    layout = lay_out(table)
    grid = RichTable(box=box.SIMPLE_HEAD, title=Text(table.title, style="bold"), title_justify="left", pad_edge=False)
    for field in layout.fields:
        label = field.label.replace(" ", "\n") if stacked and not field.numeric else field.label
        header = Text("\n".join(filter(None, [*field.groups, label])))
        grid.add_column(header, justify="right" if field.numeric else "left", overflow="fold", no_wrap=field.numeric)
    for index, row in enumerate(layout.body):
        last = index + 1 < len(layout.body) and layout.starts_block(index + 1)
        grid.add_row(*map(_entry, row), end_section=last)
    return grid


def _entry(entry: Entry) -> "Text":
    from rich.text import Text

    style = " ".join(["bold"] * entry.bold + ["underline"] * entry.underlined)
    text = Text(entry.main, style=style)
    return text.append(f" {entry.tail}", style="dim not bold not underline") if entry.tail else text
