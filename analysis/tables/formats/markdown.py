"""GitHub-flavoured Markdown."""

import re

from analysis.tables.formats.layout import Entry, lay_out
from analysis.tables.model import Table

_SPECIAL = re.compile(r"([\\|*`<>\[\]~])|(?<!\w)(_)|(_)(?!\w)")


def markdown(table: Table) -> str:
    """The table, and its footnotes as paragraphs below it."""
    layout = lay_out(table)
    header = [escape(_single_line(field.text)) for field in layout.fields]
    rules = [":--" if not field.numeric else "--:" for field in layout.fields]
    body = [[_entry(entry) for entry in row] for row in layout.body]
    lines = [_line(header), _line(rules), *map(_line, body)]
    notes = [escape(_single_line(note)) for note in table.footnotes]
    return "\n\n".join(["\n".join(lines), *notes]) + "\n"


def escape(text: str) -> str:
    """The text such that Markdown shows it as it is."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)


def _single_line(text: str) -> str:
    return " ".join(text.split())


def _entry(entry: Entry) -> str:
    main, tail = escape(_single_line(entry.main)), entry.tail
    main = f"**{main}**" if entry.bold else main
    main = f"<ins>{main}</ins>" if entry.underlined else main
    return f"{main} {tail}".strip()


def _line(texts: list[str]) -> str:
    return f"| {' | '.join(texts)} |"
