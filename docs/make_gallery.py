"""Makes docs/gallery.md and its pictures from finished studies: every kind of figure and table, with its command.

    python docs/make_gallery.py --results results

takes a folder with the results of the shipped studies that it names (`--list` prints them). `--only NAME` makes one
picture, `--only page` the text.
"""

import argparse
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml
from pages import DOCS, beside, fenced, output, picture

PAGE = DOCS / "gallery.md"
PICTURES = DOCS / "gallery"


@dataclass(frozen=True)
class Entry:
    """One figure or table of the page, as `gallery.yaml` has it.

    Attributes:
        name: of its heading, and of its picture.
        command: what makes it.
        shows: a sentence or two.
        papers: the figures of papers that it corresponds to.
        shown: how output stands on the page: "markdown" as it is, "table" without its footnotes, else in a block of
            that language; None for a picture.
        lines: of the output that are shown; all where 0.
    """

    name: str
    command: str
    shows: str
    papers: str = ""
    shown: str | None = None
    lines: int = 0

    @property
    def file(self) -> str:
        return self.name.lower().replace(" ", "-").replace(",", "").replace("@", "-at-") + ".png"


def _read() -> tuple[str, list[tuple[str, list[Entry]]], dict[str, str]]:
    page = yaml.safe_load((DOCS / "gallery.yaml").read_text(encoding="utf-8"))
    sections = [(title, [Entry(**each) for each in entries]) for title, entries in page["sections"].items()]
    return page["introduction"] + "\n", sections, page["further"]


INTRODUCTION, SECTIONS, FURTHER = _read()
ENTRIES = [entry for _, entries in SECTIONS for entry in entries]


def main() -> None:
    """Makes the page, or one picture of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with a results folder per study")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="make only this picture, or page; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="print the studies that it takes, and end")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(studies()))
        return
    with beside(arguments.results):
        for entry in ENTRIES:
            if entry.shown is None and (arguments.only is None or entry.name in arguments.only):
                picture(entry.command, PICTURES / entry.file)
                print(entry.name, flush=True)
        if arguments.only is None or "page" in arguments.only:
            PAGE.write_text(page(), encoding="utf-8")


def studies() -> list[str]:
    """Those that the commands of the page name, and the one whose runs it draws."""
    words = [word for entry in ENTRIES for word in shlex.split(entry.command.splitlines()[-1])[2:4]]
    known = {file.stem for file in (DOCS.parent / "study" / "studies").glob("*.yaml")}
    return sorted({*words} & known | {"synthetic_space"})


def page() -> str:
    """The text of the page; tables are made anew."""
    parts = [INTRODUCTION]
    for title, entries in SECTIONS:
        parts += [f"## {title}\n\n", *(section(entry) for entry in entries)]
    return "".join([*parts, checklist()])


def section(entry: Entry) -> str:
    papers = f" Papers: {entry.papers}." if entry.papers else ""
    made = f"![{entry.name}](gallery/{entry.file})" if entry.shown is None else _printed(entry)
    return f"### {entry.name}\n\n{entry.shows}{papers}\n\n{fenced(entry.command, 'sh')}\n\n{made}\n\n"


def _printed(entry: Entry) -> str:
    lines = [line.rstrip() for line in output(entry.command).strip("\n").splitlines()]
    if entry.shown in ("markdown", "table"):
        return "\n".join(lines[: lines.index("")] if entry.shown == "table" else lines)
    if entry.lines and len(lines) > entry.lines:
        lines = [*lines[: entry.lines], "…"]
    return fenced("\n".join(lines), str(entry.shown))


def checklist() -> str:
    """Which figure or table of a paper is made by which command."""
    rows = [(entry.papers, entry.command.splitlines()[-1]) for entry in ENTRIES if entry.papers]
    lines = [f"| {papers} | `{command}` |" for papers, command in (*rows, *FURTHER.items())]
    head = "| figure or table | command |\n| :-- | :-- |\n"
    return f"## What the papers show\n\n{head}" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
