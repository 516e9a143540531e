"""The section of what is planned, for studies without finished runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.labels import setting_text
from analysis.loading import Source
from analysis.reports.markup import fold, section, tag, text
from analysis.reports.question import spec_text


def planned(sources: Sequence[Source], reason: str) -> str:
    """The section."""
    parts = [part for source in sources for part in _study(source)]
    return section("plan", "Plan", text("p", reason, class_="note"), *parts)


def _study(source: Source) -> Iterator[str]:
    cells = source.plan.get("cells", ())
    if cells:
        head = tag("tr", "".join(text("th", name, scope="col") for name in ("Method", "Setting", "Runs")))
        rows = "\n".join(tag("tr", "".join(_row(cell))) for cell in cells)
        caption = text("caption", f"{len(cells)} cells of {source.study}")
        table = tag("table", f"{caption}{tag('thead', head)}{tag('tbody', rows)}", class_="plain")
        yield tag("div", table, class_="wide")
    if spec := spec_text(source):
        yield fold(f"spec-{source.study}", f"Spec of {source.study}", text("pre", spec, tabindex=0))


def _row(cell: Mapping[str, Any]) -> Iterator[str]:
    yield text("th", cell["method"], scope="row")
    yield text("td", setting_text(cell["axes"]))
    yield text("td", len(cell["replicates"]), class_="number")
