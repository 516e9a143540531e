"""The section of figures: every kind that the study has data for, as pictures inside the page."""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.loading import Results
from analysis.plots.drawing import drawn
from analysis.plots.kinds import PlotOptions
from analysis.plots.registry import PLOTS
from analysis.plots.shared.glyphs import missing_glyphs_told
from analysis.plots.shared.style import style
from analysis.reports.markup import bullets, command, escaped, fold, section, tag, text
from analysis.reports.model import About
from analysis.reports.progress import as_of
from analysis.reports.shell import call, flag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PIXELS_PER_INCH = 150
"""On the screen: texts of 7 points are as large as the page's notes."""
_DRAWN_LETTERS = {"svg.fonttype": "path", "svg.hashsalt": "dml-study"}
_COLORS = 200
_LARGE = 150_000
"""Bytes of a vector picture beyond which one of pixels may stand in its place."""


@dataclass(frozen=True)
class Image:
    """A picture as a data URI, and its size on the screen in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Figures:
    """All kinds of figures: the pictures of those that could be drawn, and the reasons of the others."""

    metric: str
    images: Mapping[str, tuple[Image, ...]]
    reasons: Mapping[str, str]


def draw_figures(results: Results, *, metric: str = "map_at_r") -> Figures:
    """Draws every kind; takes a second for each."""
    figures, reasons = drawn(results, list(PLOTS), PlotOptions(metric=metric))
    return Figures(metric, {name: tuple(map(image, found)) for name, found in figures.items()}, reasons)


def image(figure: "Figure") -> Image:
    """As SVG whose letters are outlines, so that it looks the same everywhere; as PNG where that is smaller."""
    vector = _saved(figure, "svg")
    kind, data = "svg+xml", vector
    if len(vector) > _LARGE and len(raster := _few_colors(_saved(figure, "png"))) < len(vector):
        kind, data = "png", raster
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    width, height = (round(inches * _PIXELS_PER_INCH) for inches in figure.get_size_inches())
    return Image(uri, width, height)


def _saved(figure: "Figure", kind: str) -> bytes:
    import matplotlib

    sink = io.BytesIO()
    with style(), missing_glyphs_told(), matplotlib.rc_context(_DRAWN_LETTERS):
        figure.savefig(sink, format=kind, dpi=_PIXELS_PER_INCH, metadata={"Date": None} if kind == "svg" else None)
    return sink.getvalue()


def _few_colors(png: bytes) -> bytes:
    """The same picture in a third of the bytes."""
    from PIL import Image as Pixels

    sink = io.BytesIO()
    Pixels.open(io.BytesIO(png)).convert("RGB").quantize(_COLORS).save(sink, format="png", optimize=True)
    return sink.getvalue()


def figures(results: Results, about: About, found: Figures) -> str:
    """The section."""
    shown = [part for name in found.images for part in _kind(results, about, found, name)]
    drawn_ones = tag("div", "\n".join(["", *shown, ""]), class_="plots") if shown else ""
    return section("figures", "Figures", as_of(about), drawn_ones, _impossible(found.reasons))


def _kind(results: Results, about: About, found: Figures, name: str) -> Iterator[str]:
    summary, images = PLOTS[name].summary, found.images[name]
    asked = f"--metric {found.metric}" if found.metric != PlotOptions.metric else ""
    line = call(results, about, "plot", asked, flag("--kind", [name]))
    for number, each in enumerate(images, start=1):
        count = f", {number} of {len(images)}" if len(images) > 1 else ""
        alt = escaped(f"{name}{count}: {summary}")
        picture = f'<img src="{each.uri}" alt="{alt}" width="{each.width}" height="{each.height}">'
        caption = text("h3", f"{name}{count}") + text("p", f"{summary[:1].upper()}{summary[1:]}.")
        below = command(line) if number == len(images) else ""
        content = tag("figcaption", caption) + picture + below
        width = f"width:{each.width}px"
        yield tag("figure", content, class_="plot", id=f"figure-{name}-{number}", style=width)


def _impossible(reasons: Mapping[str, str]) -> str:
    items = [text("b", name) + escaped(f" ({PLOTS[name].summary}): {reason}") for name, reason in reasons.items()]
    if not items:
        return ""
    return fold("impossible", f"{len(items)} kinds of figures that these results have no data for", bullets(items))
