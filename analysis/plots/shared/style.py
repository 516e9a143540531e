"""The one place for fonts, sizes, colours and files of figures."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.plots.shared.glyphs import missing_glyphs_told
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, SubFigure

COLUMN = 3.3
"""Width of a paper's column, inches."""
PAGE = 7.0
"""Width of its text block, inches."""
DPI = 300

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, "Color Universal Design" (2008), without yellow, which is faint on white."""
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v")
SEQUENTIAL = "cividis"
DIVERGING = "PuOr_r"
GREY = "0.45"

_FOOT_SIZE = 6.0
_FOOT_LINE = 1.25 * _FOOT_SIZE / 72
_FOOT_MARGIN = 0.06
_FOOT_CHARACTERS = 20
"""Of the foot: points, inches, inches, and characters per inch of width."""

_WIDE_COVERAGE = {
    *(f"Noto Sans CJK {region}" for region in ("JP", "KR", "SC", "TC")),
    *("Arial Unicode MS", "Noto Emoji", "PingFang SC", "WenQuanYi Zen Hei", "Yu Gothic", "Microsoft YaHei"),
    *("Droid Sans Fallback", "IPAGothic", "NanumGothic", "Malgun Gothic", "Unifont", "WenQuanYi Micro Hei"),
    *(f"Noto Sans {script}" for script in ("Arabic", "Bengali", "Devanagari", "Hebrew", "Tamil", "Thai")),
}
_SETTINGS: dict[str, Any] = {
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "hatch.linewidth": 0.4,
    "hatch.color": "0.6",
    "text.parse_math": False,  # a method's name with two dollar signs is no formula
    "text.usetex": False,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


@contextmanager
def style() -> Iterator[None]:
    """Everything inside is drawn with the project's settings; the user's own come back after."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, "font.family": _fonts()})
        yield


@cache
def _fonts() -> list[str]:
    """DejaVu Sans, and for what it lacks whichever wide-coverage fonts are installed."""
    from matplotlib.font_manager import get_font_names

    return ["DejaVu Sans", *sorted(_WIDE_COVERAGE & set(get_font_names()))]


def new_figure(width: float, height: float, *, foot: Sequence[str]) -> tuple["Figure", "SubFigure"]:
    """An empty figure with a layout that keeps texts apart, and the part of it that is drawn in.

    Args:
        width, height: of that part, in inches; the figure is higher by its foot.
        foot: small texts below everything else: what spreads and bands are, and the protocol.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    text = "\n".join(wrapped(each, int(width * _FOOT_CHARACTERS)) for each in foot if each)
    below = (text.count("\n") + 1) * _FOOT_LINE + _FOOT_MARGIN
    figure = Figure(figsize=(width, height + below), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    body, strip = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, below)).ravel()
    strip.text(0.5, 0.5, text, ha="center", va="center", fontsize=_FOOT_SIZE, color=GREY)
    return figure, body


def line_style(index: int, *, points: int) -> dict[str, Any]:
    """Look of the index-th line: seven colours, then the same with other dashes; markers where points are few."""
    turn = index // len(PALETTE)
    marker = MARKERS[turn % len(MARKERS)] if points < 15 else ""
    color, dashes = PALETTE[index % len(PALETTE)], DASHES[turn % len(DASHES)]
    return {"color": color, "linestyle": dashes, "marker": marker, "markersize": 2.4}


def shade(index: int, count: int) -> tuple[float, ...]:
    """Colour of the index-th of `count` steps of an order, from dark to bright."""
    from matplotlib import colormaps

    color: tuple[float, ...] = colormaps[SEQUENTIAL](0.92 * index / max(count - 1, 1))
    return color


def plain_log_ticks(axis: "Axis") -> None:
    """Marks 1, 2 and 5 of every power of ten with plain numbers: formulas are not parsed here."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def wrapped(text: str, width: int) -> str:
    """The text on several lines of at most `width` characters."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=True, break_on_hyphens=False)) or text


def save(figure: "Figure", path: str | Path) -> list[Path]:
    """Writes a figure as its suffix says; without one as .pdf (vector) and .png (300 dpi). Folders are made.

    Raises:
        DmlStudyError: matplotlib cannot write such a file.
    """
    target = Path(path)
    known = figure.canvas.get_supported_filetypes()
    suffix = target.suffix.lower().removeprefix(".")
    if suffix and suffix not in known and not suffix[0].isdigit():
        raise DmlStudyError(f"cannot write a figure as '{target.name}'; known: {', '.join(sorted(known))}")
    files = [target] if suffix in known else [target.with_name(f"{target.name}.{kind}") for kind in ("pdf", "png")]
    target.parent.mkdir(parents=True, exist_ok=True)
    with style(), missing_glyphs_told():
        for file in files:
            figure.savefig(file, dpi=DPI)
    return files
