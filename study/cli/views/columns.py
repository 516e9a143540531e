"""Plain columns on a terminal: fast for thousands of rows, and never folded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

_GAP = "  "
_LEAST = 8


@dataclass(frozen=True)
class Column:
    """A heading of one or several lines, and a text per row."""

    heading: str
    texts: Sequence[str]
    right: bool = False

    @property
    def width(self) -> int:
        """In terminal cells."""
        return max(map(cell_len, (*self.heading.split("\n"), *self.texts)))

    def lines(self, height: int) -> list[str]:
        """The heading, at the bottom of `height` lines."""
        lines = self.heading.split("\n")
        return [""] * (height - len(lines)) + lines


def width_of(columns: Sequence[Column]) -> int:
    """Terminal cells that columns need side by side."""
    return sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1)


def print_columns(console: Console, columns: Sequence[Column]) -> None:
    """Prints columns side by side; where they are wider than the terminal, the widest is cut."""
    widths = _fitted([column.width for column in columns], console.width - len(_GAP) * (len(columns) - 1))
    height = max(column.heading.count("\n") + 1 for column in columns)
    header = list(_lines(columns, widths, [column.lines(height) for column in columns]))
    console.print(Text("\n".join(header), style="bold"), soft_wrap=True)
    body = list(_lines(columns, widths, [column.texts for column in columns]))
    if body:
        console.out("\n".join(body), highlight=False)


def _fitted(widths: list[int], room: int) -> list[int]:
    excess = sum(widths) - room
    if excess > 0:
        widest = widths.index(max(widths))
        widths[widest] = max(_LEAST, widths[widest] - excess)
    return widths


def _lines(columns: Sequence[Column], widths: Sequence[int], texts: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in zip(*texts, strict=True):
        fields = (_field(*parts) for parts in zip(columns, row, widths, strict=True))
        yield _GAP.join(fields).rstrip()


def _field(column: Column, text: str, width: int) -> str:
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if column.right else text + padding
