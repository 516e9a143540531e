"""HTML: a fragment that brings its style along, or a page of its own. Every number carries its value for sorting."""

from collections.abc import Iterator
from html import escape
from itertools import groupby

from analysis.tables.formats.layout import Entry, Field, Layout, lay_out
from analysis.tables.model import Table

_STYLE = """
.dml-table { font: 14px/1.4 system-ui, sans-serif; color: #1a1a1a; max-width: 100%; overflow-x: auto; margin: 0; }
.dml-table table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
.dml-table th, .dml-table td { padding: 2px 8px; text-align: right; white-space: nowrap; font-weight: normal; }
.dml-table thead tr:last-child th { border-bottom: 1px solid; vertical-align: bottom; }
.dml-table th.group { text-align: center; border-bottom: 1px solid #999; }
.dml-table .text { text-align: left; }
.dml-table td b { font-weight: 700; }
.dml-table .tail { color: #666; font-size: 85%; }
.dml-table .again { color: #bbb; }
.dml-table tbody + tbody tr:first-child > * { border-top: 1px solid #ddd; }
.dml-table figcaption { font-weight: 600; text-align: left; padding: 4px 0; }
.dml-table .notes { font-size: 85%; color: #444; max-width: 60em; }
.dml-table .notes p { margin: 4px 0; }
@media (prefers-color-scheme: dark) {
  .dml-table { color: #e6e6e6; } .dml-table .tail, .dml-table .notes { color: #aaa; }
  .dml-table .again { color: #555; } .dml-table tbody + tbody tr:first-child > * { border-top-color: #444; }
}
""".strip()


def html(table: Table) -> str:
    """A `figure` element with style, table and footnotes; `data-value` of a cell is its unrounded number."""
    layout = lay_out(table)
    lines = [
        '<figure class="dml-table">',
        f"<style>{_STYLE}</style>",
        f"<figcaption>{escape(table.title)}</figcaption>",
        "<table>",
        "<thead>",
        *_header(layout),
        "</thead>",
        *_body(layout),
        "</table>",
        '<div class="notes">',
        *(f"<p>{escape(note)}</p>" for note in table.footnotes),
        "</div>",
        "</figure>",
    ]
    return "\n".join(lines) + "\n"


def html_document(table: Table) -> str:
    """The same as a page that needs nothing else."""
    head = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(table.title)}</title>",
        "</head>",
        "<body>",
    ]
    return "\n".join([*head, html(table).rstrip("\n"), "</body>", "</html>"]) + "\n"


def _header(layout: Layout) -> Iterator[str]:
    for level in layout.header_levels():
        yield f"<tr>{''.join(_upper(text, count) for text, count in level)}</tr>"
    yield f"<tr>{''.join(map(_label, layout.fields))}</tr>"


def _upper(text: str, count: int) -> str:
    span = f' colspan="{count}"' if count > 1 else ""
    return f'<th class="group" scope="colgroup"{span}>{escape(text)}</th>' if text else f"<td{span}></td>"


def _label(field: Field) -> str:
    kind = "" if field.numeric else ' class="text"'
    return f'<th scope="col"{kind}>{escape(field.label)}</th>'


def _body(layout: Layout) -> Iterator[str]:
    numbered = zip(layout.blocks, layout.body, strict=True)
    for _, members in groupby(numbered, key=lambda pair: pair[0]):
        yield "<tbody>"
        yield from (f"<tr>{_row(layout.fields, row)}</tr>" for _, row in members)
        yield "</tbody>"


def _row(fields: tuple[Field, ...], row: tuple[Entry, ...]) -> str:
    cells = zip(fields, row, strict=True)
    return "".join(_number(entry) if field.numeric else _name(entry) for field, entry in cells)


def _name(entry: Entry) -> str:
    """A label that the row above has too stands in pale type: sorted by a reader, every row keeps its names."""
    if entry.again:
        return f'<th scope="row" class="text again">{escape(entry.again)}</th>'
    return f'<th scope="row" class="text">{escape(entry.main)}</th>'


def _number(entry: Entry) -> str:
    value = "" if entry.number is None else f' data-value="{entry.number:.10g}"'
    main = escape(entry.main)
    main = f"<b>{main}</b>" if entry.bold else main
    main = f"<u>{main}</u>" if entry.underlined else main
    tail = f' <span class="tail">{escape(entry.tail)}</span>' if entry.tail else ""
    return f"<td{value}>{main}{tail}</td>"
