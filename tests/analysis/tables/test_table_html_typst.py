"""Tables as HTML and Typst: what a parser and a compiler make of them."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from study_in_memory import Study

from analysis.tables import Table, comparison_table, render
from analysis.tables.formats.typst import literal

NASTY = [
    '<script>alert("x")</script> & </td>',
    "= heading - list + enum / term: 1. x",
    "#panic() $x$ *b* _i_ `c` @r <l> \\ ~ // /* [x] {y}",
    "naïve Łódź β→∞ 中文 😀 'q'",
    "",
]


class Parsed(HTMLParser):
    """Rows of a table as (text, span, attributes) of their fields; every element has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, int, dict[str, str | None]]]] = []
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            known = dict(attrs)
            self.rows[-1].append(("", int(known.get("colspan") or 1), known))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            text, span, known = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, span, known)


def two_levels() -> Table:
    study = Study(axes=["dataset", "synthesis.ratio"], seeds=(0, 1))
    for dataset in ("glyphs", "cub"):
        base = study.add("base", [0.5, 0.6], dataset=dataset)
        study.add("base + PS", [0.7, 0.9], baseline=base, dataset=dataset, synthesis__ratio=0.5)
        study.add("base + PS", [0.6, None], baseline=base, dataset=dataset, synthesis__ratio=1.0)
    return comparison_table(study.results(), metrics=["map_at_r", "recall_at_1"])


def nasty() -> Table:
    study = Study(seeds=(0, 1))
    for name in NASTY:
        study.add(name, [0.5, 0.6])
    return comparison_table(study.results(), metrics=["map_at_r"])


def test_html_spans_add_up_and_labels_are_repeated_for_sorting() -> None:
    parsed = Parsed(render(two_levels(), "html"))
    assert not parsed.open
    assert [sum(span for _, span, _ in row) for row in parsed.rows] == [9] * 5
    assert [field[:2] for field in parsed.rows[0]] == [("", 3), ("glyphs", 3), ("cub", 3)]
    assert [row[0][0] for row in parsed.rows[2:]] == ["base", "base + PS", "base + PS"]
    assert "again" in str(parsed.rows[4][0][2]["class"])
    assert (parsed.rows[3][3][0], parsed.rows[3][3][2]["data-value"]) == ("80.00 ± 14.14", "80")
    assert "data-value" not in parsed.rows[2][4][2]  # no difference, nothing to sort by


def test_html_shows_every_name_as_it_is_and_needs_nothing_else() -> None:
    text = render(nasty(), "html-document")
    parsed = Parsed(text)
    assert [row[0][0] for row in parsed.rows[1:]] == NASTY
    assert not parsed.seen & {"script", "link", "img"} and "http" not in text
    assert text.startswith("<!doctype html>") and '<meta charset="utf-8">' in text
    assert "<!doctype" not in render(nasty(), "html")
    assert "Values: mean ± sample standard deviation (ddof = 1) over seeds, in percent; " in " ".join(parsed.texts)


def test_typst_strings() -> None:
    assert literal('a "b" \\ #c\n d') == '"a \\"b\\" \\\\ #c d"'


@pytest.mark.parametrize("name", ["two_levels", "nasty", "long", "pivot"])
def test_typst_compiles(name: str, tmp_path: Path) -> None:
    typst = pytest.importorskip("typst")
    study = Study(axes=["dataset", "synthesis.ratio"], seeds=(0, 1))
    for index in range(200):
        study.add(f"m{index // 2}", [0.5, 0.6], synthesis__ratio=index % 2)
    made = {
        "two_levels": two_levels,
        "nasty": nasty,
        "long": lambda: comparison_table(study.results(), mark="second"),
        "pivot": lambda: comparison_table(study.results(), columns=["synthesis.ratio", "metric"], show=["interval"]),
    }
    file = tmp_path / "table.typ"
    file.write_text(render(made[name](), "typst"), encoding="utf-8")
    compiled = typst.compile(str(file), format="pdf")
    assert compiled.startswith(b"%PDF")
