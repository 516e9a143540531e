"""Markdown, LaTeX, CSV and terminal: the same table, printed."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from study_in_memory import Study

from analysis.tables import Table, comparison_table, render, terminal
from analysis.tables.formats.markdown import escape as escape_markdown
from analysis.tables.formats.tex_escape import escape as escape_latex
from trainables.errors import DmlStudyError

NASTY = [
    'a_b & 50% #1 $x$ ~ ^ \\ {} |<>| "q"',
    "[bracket] *star* `code` _under_",
    "naïve Ångström ß ø Łódź",
    "β-loss α→∞ ≤ ± ½ ² Ω ς",
    "中文 😀 ą --",
]


def two_datasets() -> Table:
    study = Study(axes=["dataset", "synthesis.ratio"], seeds=(0, 1))
    for dataset in ("glyphs", "cub_200"):
        base = study.add("base", [0.5, 0.6], dataset=dataset)
        study.add("base + PS", [0.7, 0.9], baseline=base, dataset=dataset, synthesis__ratio=0.5)
        study.add("base + PS", [0.6, None], baseline=base, dataset=dataset, synthesis__ratio=1.0)
    return comparison_table(study.results(), metrics=["map_at_r"])


def nasty() -> Table:
    study = Study(seeds=(0, 1))
    for name in NASTY:
        study.add(name, [0.5, 0.6])
    return comparison_table(study.results(), metrics=["map_at_r"])


def test_markdown() -> None:
    lines = render(two_datasets(), "markdown").splitlines()
    assert lines[:5] == [
        "| Method | ratio | n | glyphs MAP@R (%) | glyphs Δ MAP@R | cub_200 MAP@R (%) | cub_200 Δ MAP@R |",
        "| :-- | :-- | --: | --: | --: | --: | --: |",
        "| base |  | 2 | 55.00 ± 7.07 |  | 55.00 ± 7.07 |  |",
        "| base + PS | 0.5 | 2 | **80.00** ± 14.14 | +25.00 [−38.53, +88.53] | **80.00** ± 14.14 | "
        "+25.00 [−38.53, +88.53] |",
        "|  | 1.0 | 1 | 60.00 | +5.00‡ | 60.00 | +5.00‡ |",
    ]
    assert lines[5] == ""
    assert lines[6].startswith("Values: mean ± sample standard deviation (ddof = 1) over seeds, in percent; n: ")


def test_markdown_keeps_every_name_in_its_column() -> None:
    lines = render(nasty(), "markdown").splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[: 2 + len(NASTY)]} == {4}
    assert escape_markdown("a_b _c_ *d* |") == r"a_b \_c\_ \*d\* \|"


def test_latex_structure() -> None:
    text = render(two_datasets(), "latex")
    assert text.splitlines()[0] == r"% \usepackage{booktabs}"
    assert r"\begin{tabular}{llrrrrr}" in text
    assert r" &  &  & \multicolumn{2}{c}{glyphs} & \multicolumn{2}{c}{cub\_200} \\" in text
    assert r"\cmidrule(lr){4-5} \cmidrule(lr){6-7}" in text
    assert r"\textbf{80.00} {\scriptsize \ensuremath{\pm} 14.14}" in text
    assert r"+5.00\ensuremath{\ddagger}" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in rows if "multicolumn" not in line} == {6}
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1


def test_latex_is_plain_ascii_without_open_specials() -> None:
    text = render(nasty(), "latex")
    assert text.isascii()
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    assert not re.search(r"(?<!\\)[#$%^~_]", body.replace(r"\ensuremath{_", "").replace(r"\~{", ""))
    assert not re.search(r"\\\\\n[\[*]|midrule\n[\[*]", text)  # they would be read as arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b&c", r"a\_b\&c"),
        ("é ñ ü Å ï", r"\'{e} \~{n} \"{u} \r{A} \"{\i}"),
        ("β Δ Α ς", r"\ensuremath{\beta} \ensuremath{\Delta} A \ensuremath{\varsigma}"),
        ("½ ﬁ x²", r"1/2 fi x\textsuperscript{2}"),
        ("–", r"\textendash{}"),
        ("--", "-{}-"),
        ("中", "[U+4E2D]"),
        ("a\n b\t", "a b"),
    ],
)
def test_latex_escapes(text: str, expected: str) -> None:
    assert escape_latex(text) == expected


def test_long_tables_break_across_pages() -> None:
    study = Study(seeds=(0, 1))
    for index in range(60):
        study.add(f"m{index}", [0.5, 0.6])
    text = render(comparison_table(study.results()), "latex")
    assert r"\begin{longtable}" in text
    assert r"\begin{table}" not in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two_datasets", "nasty", "long"])
def test_latex_document_compiles_alone(name: str, tmp_path: Path) -> None:
    engine = shutil.which("tectonic") or shutil.which("pdflatex")
    if engine is None:
        pytest.skip("neither tectonic nor pdflatex is installed")
    study = Study(seeds=(0, 1))
    for index in range(60):
        study.add(f"m{index}", [0.5, 0.6])
    tables = {"two_datasets": two_datasets, "nasty": nasty, "long": lambda: comparison_table(study.results())}
    (tmp_path / "table.tex").write_text(render(tables[name](), "latex-document"), encoding="ascii")
    options = [] if engine.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([engine, *options, "table.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").is_file()
    assert "Overfull" not in done.stdout


def test_csv_has_a_column_for_every_number() -> None:
    header, *rows = list(csv.reader(io.StringIO(render(two_datasets(), "csv"))))
    assert header[:6] == ["Method", "ratio", "glyphs MAP@R (%) mean", "glyphs MAP@R (%) std", "glyphs MAP@R (%) n",
                          "glyphs MAP@R (%) low"]  # fmt: skip
    third = dict(zip(header, rows[2], strict=True))
    assert third["Method"] == "base + PS"
    assert third["cub_200 MAP@R (%) mean"] == "60"
    assert third["cub_200 MAP@R (%) std"] == ""
    assert third["cub_200 MAP@R (%) delta"] == "5"
    assert third["cub_200 MAP@R (%) delta paired"] == "0"


def test_csv_quotes_names() -> None:
    rows = list(csv.reader(io.StringIO(render(nasty(), "csv"))))
    assert [row[0] for row in rows[1:]] == NASTY


def _on_terminal(table: Table, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal(table))
    return console.export_text()


def test_terminal_prints_one_table_where_it_fits_and_several_where_not() -> None:
    wide, narrow = _on_terminal(two_datasets(), 200), _on_terminal(two_datasets(), 78)
    assert wide.count("Method") == 1
    assert narrow.count("Method") == 2
    for text in (wide, narrow):
        assert text.count("+25.00 [−38.53, +88.53]") == 2
        assert "…" not in text
    assert "Values: mean ±" in wide


def test_terminal_takes_names_literally() -> None:
    text = _on_terminal(nasty(), 120)
    assert "[bracket] *star* `code` _under_" in text


def test_unknown_format_gets_the_nearest_spelling() -> None:
    with pytest.raises(DmlStudyError, match="did you mean 'latex'"):
        render(nasty(), "latx")


def test_notebooks_show_a_table_as_markdown() -> None:
    assert nasty()._repr_markdown_() == render(nasty(), "markdown")
