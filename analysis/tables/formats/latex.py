"""LaTeX with booktabs: a table float to include, or a document that compiles alone."""

from analysis.tables.formats.layout import Entry, Layout, lay_out
from analysis.tables.formats.tex_escape import escape
from analysis.tables.model import Table

LONGEST_FLOAT = 45
"""Rows beyond which a table is a longtable, which breaks across pages."""


def latex(table: Table) -> str:
    """A `table` float (a `longtable` beyond 45 rows) that needs booktabs (and longtable) in the preamble."""
    layout = lay_out(table)
    long = len(layout.body) > LONGEST_FLOAT
    lines = _longtable(layout, table.footnotes) if long else _float(layout, table.footnotes)
    needs = "booktabs, longtable" if long else "booktabs"
    return "\n".join([f"% \\usepackage{{{needs}}}", *lines]) + "\n"


def latex_document(table: Table) -> str:
    """The same as a document of its own, on a page as large as the table."""
    width, height = _page(lay_out(table), table.footnotes)
    preamble = [
        r"\documentclass{article}",
        rf"\usepackage[paperwidth={width}cm,paperheight={height}cm,margin=1cm]{{geometry}}",
        r"\usepackage{booktabs,longtable}",
        r"\pagestyle{empty}",
        r"\begin{document}",
    ]
    return "\n".join([*preamble, latex(table).rstrip("\n"), r"\end{document}"]) + "\n"


def _page(layout: Layout, notes: tuple[str, ...]) -> tuple[int, int]:
    """Generous, from the number of characters: a fifth of a centimetre each at ten points."""
    texts = zip(
        *[[field.label for field in layout.fields], *[[e.text for e in row] for row in layout.body]], strict=True
    )
    characters = sum(max(map(len, column)) + 2 for column in texts)
    width = max(12, 3 + characters // 5)
    note_lines = sum(1 + len(note) // (5 * width) for note in notes)
    rows = min(len(layout.body), LONGEST_FLOAT)
    return width, 5 + (rows + max(layout.blocks, default=0)) // 2 + note_lines // 2


def _float(layout: Layout, notes: tuple[str, ...]) -> list[str]:
    return [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\begin{{tabular}}{{{_alignment(layout)}}}",
        *_header(layout),
        *_body(layout),
        r"\bottomrule",
        r"\end{tabular}",
        *_notes(notes),
        r"\end{table}",
    ]


def _longtable(layout: Layout, notes: tuple[str, ...]) -> list[str]:
    return [
        r"\begingroup",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\begin{{longtable}}{{{_alignment(layout)}}}",
        *_header(layout),
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *_body(layout),
        r"\end{longtable}",
        *_notes(notes),
        r"\endgroup",
    ]


def _alignment(layout: Layout) -> str:
    return "".join("r" if field.numeric else "l" for field in layout.fields)


def _header(layout: Layout) -> list[str]:
    labels = _protected(" & ".join(escape(field.label) for field in layout.fields)) + r" \\"
    upper = [line for level in layout.header_levels() for line in _groups(level)]
    return [r"\toprule", *upper, labels, r"\midrule"]


def _groups(level: list[tuple[str, int]]) -> list[str]:
    texts, rules, start = [], [], 1
    for name, count in level:
        texts += [rf"\multicolumn{{{count}}}{{c}}{{{escape(name)}}}"] if name else [""] * count
        rules += [rf"\cmidrule(lr){{{start}-{start + count - 1}}}"] if name else []
        start += count
    return [" & ".join(texts) + r" \\", " ".join(rules)]


def _body(layout: Layout) -> list[str]:
    lines = []
    for index, row in enumerate(layout.body):
        if layout.starts_block(index):
            lines.append(r"\addlinespace")
        lines.append(_protected(" & ".join(map(_entry, row))) + r" \\")
    return lines


def _protected(line: str) -> str:
    """A row that begins with a bracket or star would be read as an argument of the rule or line break above it."""
    return "{}" + line if line.startswith(("[", "*")) else line


def _entry(entry: Entry) -> str:
    main = rf"\textbf{{{escape(entry.main)}}}" if entry.bold else escape(entry.main)
    main = rf"\underline{{{main}}}" if entry.underlined else main
    if not entry.tail:
        return main
    return rf"{main} {{\scriptsize {escape(entry.tail)}}}"


def _notes(notes: tuple[str, ...]) -> list[str]:
    lines = [rf"\par\noindent {escape(note)}" for note in notes]
    return (
        [r"\par\medskip\noindent", r"\begin{minipage}{\linewidth}\footnotesize", *lines, r"\end{minipage}"]
        if notes
        else []
    )
