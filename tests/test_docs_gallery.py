"""docs/gallery.md and docs/results: every kind is there, every command can be given, pictures exist and are small."""

import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from analysis.plots.registry import PLOTS
from study.cli.app import app
from study.cli.picturing import KINDS
from study.studies import shipped

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GALLERY = (DOCS / "gallery.md").read_text(encoding="utf-8")
RESULTS = {file.stem: file.read_text(encoding="utf-8") for file in sorted((DOCS / "results").glob("*.md"))}
README = (ROOT / "README.md").read_text(encoding="utf-8")
_COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
LARGEST = 60_000
"""Bytes of a picture."""


@pytest.fixture(scope="module", params=["make_gallery", "make_results"])
def script(request: pytest.FixtureRequest) -> ModuleType:
    return loaded(request.param)


def loaded(name: str) -> ModuleType:
    """A script of the folder, which finds its neighbours as it does when it is run."""
    sys.path.insert(0, str(DOCS))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(DOCS))


def commands(page: str) -> list[str]:
    """Those in blocks, in order."""
    return [line for block in re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL) for line in block.splitlines()]


def options(page: str, command: str, option: str) -> set[str]:
    """All values that the commands of this name give an option."""
    found = (shlex.split(line) for line in commands(page))
    lines = [words for words in found if words[1] == command]
    return {value for words in lines for key, value in pairwise(words) if key == option}


def parsed(command: str) -> dict[str, Any]:
    """The parameters of a command as the command line reads them; nothing is run.

    Raises:
        Exception: typer's, for an unknown option, or a value that it does not take.
    """
    _, name, *arguments = shlex.split(command)
    params: dict[str, Any] = _COMMANDS[name].make_context(name, arguments).params
    return params


def formats() -> set[str]:
    """What `dml-study table --format` takes."""
    (option,) = (each for each in _COMMANDS["table"].params if each.name == "format_")
    listed = option.help.partition(" (with")[0].removesuffix(" or csv").split(", ")
    return {*listed, "csv"}


def test_every_kind_of_figure_is_on_the_page() -> None:
    assert options(GALLERY, "plot", "--kind") == set(PLOTS)
    assert options(GALLERY, "plot-run", "--kind") == set(KINDS)


def test_every_format_and_arrangement_of_tables_is_on_the_page() -> None:
    assert formats() == {"markdown", "latex", "latex-document", "html", "html-document", "typst", "csv"}
    assert options(GALLERY, "table", "--format") == formats()
    assert "dml-study table coil99_angle" in commands(GALLERY), "in the terminal"
    arranging = {
        "--columns",
        "--rows",
        "--best",
        "--sort",
        "--merge",
        "--show",
        "--mark",
        "--check",
        "--with-published",
    }
    assert arranging <= {word for line in commands(GALLERY) for word in shlex.split(line)}


def test_every_command_can_be_given() -> None:
    inline = re.findall(r"\| `(dml-study [^`]+)` \|", GALLERY)
    pages = [GALLERY, *RESULTS.values()]
    everything = {*inline, *(line for page in pages for line in commands(page))}
    assert len(inline) > 40 and len(everything) > 60
    for command in sorted(everything):
        params = parsed(command)
        for name in params.get("studies") or [params.get("spec")]:
            assert name is None or name in shipped() or name.startswith("results/"), command
    for wrong in ("plot demo --kind heatmaps", "plot demo --kinds heatmap", "table demo --format word"):
        with pytest.raises(Exception, match=r"did you mean|No such option|unknown value"):
            parsed(f"dml-study {wrong}")


def test_every_picture_exists_is_small_and_is_shown() -> None:
    for folder, text in ((DOCS / "gallery", GALLERY), (DOCS / "results", "".join(RESULTS.values()))):
        shown = {Path(place).name for place in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)}
        assert shown == {file.name for file in folder.glob("*.png")}
        assert [file.name for file in folder.glob("*.png") if file.stat().st_size > LARGEST] == []


def test_the_pages_are_those_of_the_scripts(script: ModuleType) -> None:
    if script.__name__ == "make_gallery":
        entries = [entry for _, group in script.SECTIONS for entry in group]
        assert commands(GALLERY) == [line for entry in entries for line in entry.command.splitlines()]
        assert all(f"### {entry.name}\n\n{entry.shows}" in GALLERY for entry in entries)
        assert GALLERY.endswith(script.checklist()) and GALLERY.startswith(script.INTRODUCTION)
    else:
        assert sorted(report.study for report in script.REPORTS) == sorted(RESULTS)
        for report in script.REPORTS:
            assert commands(RESULTS[report.study]) == script.commands(report)
            assert report.found in RESULTS[report.study] and script.question(report.study) in RESULTS[report.study]


def test_numbers_of_the_readme_are_those_of_the_pages() -> None:
    cited = README.partition("\n## Results\n")[2].partition("\n## ")[0]
    assert cited.count("\n| norm-softmax + PS ") == 1
    studies = re.findall(r"\]\(docs/results/(\w+)\.md\)", cited)
    assert sorted(studies) == sorted(RESULTS)
    for study, text in zip(studies, re.split(r"\]\(docs/results/\w+\.md\)", cited)[1:], strict=True):
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert [row for row in rows if row not in RESULTS[study]] == [], study
