"""Named rows with a value each, in panels side by side: what bars, differences and gaps are drawn in."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from analysis.metrics import Metric
from analysis.plots.shared.charts import Spread, ends
from analysis.plots.shared.style import COLUMN, GREY, PAGE, new_figure, wrapped
from analysis.statistics import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_ROW = 0.2
_TEXT_LINE = 0.115
_LABEL_CHARACTERS = {COLUMN: 24, PAGE: 38}
_CHARACTER, _SMALL_CHARACTER = 0.055, 0.047
"""Inches: height of a row and of a line of its label; width of a letter of labels, and of values."""
_ROOM = 0.8
"""Inches that a panel should have at least."""
_HEADING = 12.0
"""Points between a panel and its title, for what its values are called."""


BAR = 0.13
"""Thickness of a bar, in the unit of the rows' heights."""


_ABOVE: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom", "fontsize": 6, "color": GREY}


@dataclass(frozen=True)
class RowLayout:
    """Axes side by side whose rows are the same, read from the top.

    Attributes:
        axes: one per panel; row `i` stands at height `places[i]`, and rows rise downwards.
    """

    figure: "Figure"
    body: "SubFigure"
    axes: "Sequence[Axes]"
    places: Sequence[float]

    def add_legend(self) -> None:
        """What is labelled in any panel, below all of them."""
        handles: dict[str, Any] = {}
        for ax in self.axes:
            found, names = ax.get_legend_handles_labels()
            handles.update(dict(zip(names, found, strict=True)))
        self.body.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))


def row_layout(
    labels: Sequence[str],
    titles: Sequence[str],
    *,
    values: Sequence[str],
    x_label: str,
    foot: Sequence[str],
    legend_lines: int = 0,
) -> RowLayout:
    """An empty figure with a line of height for every row, more where its label is wrapped.

    Args:
        labels: of the rows.
        titles: of the panels.
        values: what `value_column` writes beside the panels, for the room that it takes.
        x_label: below every panel.
        foot: as in `new_figure`.
        legend_lines: height to leave below the panels, in lines of text.
    """
    width, room = _widths(labels, len(titles), values)
    texts = [wrapped(label, _LABEL_CHARACTERS[width]) for label in labels]
    heights = [max(_ROW, _TEXT_LINE * (text.count("\n") + 1) + 0.04) for text in texts]
    letters = max(12, int(room / _CHARACTER))
    title_lines = max(wrapped(title, letters).count("\n") + 1 for title in titles)
    height = sum(heights) + 0.14 * title_lines + 0.65 + 0.14 * legend_lines
    figure, body = new_figure(width, height, foot=foot)
    axes = list(body.subplots(1, len(titles), squeeze=False, sharey=True).ravel())
    places = [sum(heights[:index]) + heights[index] / 2 for index in range(len(heights))]
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(wrapped(title, letters), pad=_HEADING)
        ax.set_xlabel(wrapped(x_label, letters))
        ax.set_yticks(places, texts)
        ax.set_ylim(sum(heights), 0)
        ax.locator_params(axis="x", nbins=max(2, int(room / 0.42)))
        ax.tick_params(axis="y", length=0)
    for ax in axes[1:]:
        ax.tick_params(axis="y", labelleft=False)
    return RowLayout(figure, body, axes, places)


def side_by_side(panels: Sequence[str], labels: Sequence[str], values: Sequence[str]) -> list[list[str]]:
    """The panels of each figure: as many beside each other as leave room for what is drawn."""
    count = next((count for count in (3, 2) if _room(PAGE, labels, count, values) >= _ROOM), 1)
    return [list(panels[start : start + count]) for start in range(0, len(panels), count)]


def _widths(labels: Sequence[str], panels: int, values: Sequence[str]) -> tuple[float, float]:
    """Of the figure, and about what is left to each panel beside its values, in inches."""
    short = max(map(len, labels)) <= 2 * _LABEL_CHARACTERS[COLUMN]
    width = COLUMN if panels == 1 and short and _room(COLUMN, labels, 1, values) >= _ROOM else PAGE
    return width, max(_room(width, labels, panels, values), 0.6)


def _room(width: float, labels: Sequence[str], panels: int, values: Sequence[str]) -> float:
    beside = min(max(map(len, labels)), _LABEL_CHARACTERS[width]) * _CHARACTER
    return (width - beside) / panels - max(map(len, values)) * _SMALL_CHARACTER - 0.1


def signed(number: float, metric: Metric) -> str:
    """ "+1.20": a difference as a metric's decimals show it; nothing is below zero that rounds to it."""
    return f"{number:+z.{metric.decimals}f}".replace("-", "−")


def number_text(summary: Summary, spread: Spread, metric: Metric, *, most: int) -> str:
    """ "51.20 ±0.35 (n=2)"; the number of seeds is said where it is below `most`."""
    if not summary.n:
        return "no result"
    reach = ends(summary, spread)[1] - summary.mean
    parts = [f"{summary.mean:.{metric.decimals}f}".replace("-", "−")]
    parts += [f"±{reach:.{metric.decimals}f}"] if isfinite(reach) else []
    parts += [f"(n={summary.n})"] if summary.n < most else []
    return " ".join(parts)


def value_column(
    ax: "Axes", places: Sequence[float], texts: Sequence[str], *, heading: str, bold: Sequence[bool]
) -> None:
    """Numbers to the right of the panel, one per row, below what they are called."""
    ax.annotate(heading, (1.02, 1.0), xytext=(0, 2), **_ABOVE)
    for place, text, strong in zip(places, texts, bold, strict=True):
        weight = "bold" if strong else "normal"
        beside = ax.get_yaxis_transform()
        ax.text(1.02, place, text, transform=beside, va="center", fontsize=6, fontweight=weight)
