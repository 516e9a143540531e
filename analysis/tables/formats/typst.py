"""Typst: a `#table` to include in a figure. All texts are string literals, so that nothing in them is markup."""

from collections.abc import Iterator

from analysis.tables.formats.layout import Entry, Layout, lay_out
from analysis.tables.model import Table

_THIN = "stroke: 0.5pt"


def typst(table: Table) -> str:
    """A table that breaks across pages, with its footnotes below; compiles alone and inside a document."""
    layout = lay_out(table)
    align = ", ".join("right" if field.numeric else "left" for field in layout.fields)
    lines = [
        "#table(",
        f"  columns: {len(layout.fields)},",
        f"  align: ({align},),",
        "  stroke: none,",
        "  inset: (x: 4pt, y: 3pt),",
        "  table.hline(),",
        "  table.header(",
        *(f"    {line}" for line in _header(layout)),
        "  ),",
        f"  table.hline({_THIN}),",
        *(f"  {line}" for line in _body(layout)),
        "  table.hline(),",
        ")",
        *(f"#par(text(size: 0.8em, {literal(note)}))" for note in table.footnotes),
    ]
    return "\n".join(lines) + "\n"


def literal(text: str) -> str:
    """A Typst string that stands for the text; whitespace is collapsed."""
    return '"' + " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _header(layout: Layout) -> Iterator[str]:
    for level in layout.header_levels():
        yield " ".join(f"table.cell(colspan: {count}, align: center, {literal(text)})," for text, count in level)
        start = 0
        for text, count in level:
            if text:
                yield f"table.hline(start: {start}, end: {start + count}, {_THIN}),"
            start += count
    yield " ".join(f"{literal(field.label)}," for field in layout.fields)


def _body(layout: Layout) -> Iterator[str]:
    for index, row in enumerate(layout.body):
        if layout.starts_block(index):
            yield f"table.hline({_THIN} + luma(200)),"
        yield " ".join(f"{_entry(entry)}," for entry in row)


def _entry(entry: Entry) -> str:
    main = literal(entry.main)
    main = f"strong({main})" if entry.bold else main
    main = f"underline({main})" if entry.underlined else main
    return f"{main} + [ ] + text(size: 0.8em, {literal(entry.tail)})" if entry.tail else main
