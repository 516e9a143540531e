"""Pages lead where they say: files and headings of every relative link exist, and the README names every page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(page for folder in ("benchmarks", "deploy", "docs") for page in sorted((ROOT / folder).rglob("*.md"))),
]


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def links(page: Path) -> list[str]:
    """The relative ones, pictures included."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    found = []
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One heading, two words\n")
    page = tmp_path / "page.md"
    page.write_text(
        "## Here\n[a](#here) [b](other.md#one-heading-two-words) [c](https://example.org/#x) `[d](in-code.md)`\n"
        "```sh\n[e](in-a-block.md)\n# no-heading\n```\n"
        "[f](#there) [g](other.md#three) ![h](gone.png) [i](#no-heading)\n"
    )
    assert broken(page) == ["#there", "other.md#three", "gone.png", "#no-heading"]


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = set[Path](), {ROOT / "README.md"}
    while new:
        page = new.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page) if not link.startswith("#")}
        new |= {target for target in targets if target.suffix == ".md" and target.exists()} - reached
    apart = {"CHANGELOG.md"}
    assert {str(page.relative_to(ROOT)) for page in PAGES if page not in reached} <= apart
