"""Lines with intervals in panels that share a legend: what all curves are drawn with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.cells import UNTRAINED, Floats, Sample
from analysis.labels import value_text
from analysis.plots.shared.style import COLUMN, GREY, PAGE, line_style, new_figure, style, wrapped
from analysis.statistics import Summary, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Spread = Literal["interval", "std"]
Shape = Literal["band", "bar"]
Scale = Literal["linear", "log", "symlog", "names"]

_REFERENCE_LOOKS = (":", "--", "-.")
_MANY_LINES = 6
_LEGEND_CHARACTERS = 19
_KEY = 10
"""Letters of a legend per inch of width, and what a line's sample and the space between columns take, in letters."""
_AXIS_CHARACTERS = 13
"""Of a label of an axis, per inch."""


@dataclass(frozen=True)
class Series:
    """One line: its points, and the ends of their intervals (NaN where there are none).

    Attributes:
        x, mean, low, high: [points].
        n: the largest number of seeds behind a point.
        fewest: the smallest one of points that have a value.
    """

    label: str
    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    n: int
    fewest: int


@dataclass(frozen=True)
class Reference:
    """A value that the axis does not change: a line across, with its interval."""

    label: str
    summary: Summary


@dataclass(frozen=True)
class Along:
    """What lies along the horizontal axis.

    Attributes:
        values: where ticks stand; empty for any that fit. With scale `names` they stand at 0, 1, ...
    """

    label: str
    scale: Scale = "linear"
    values: Sequence[Any] = ()
    whole_numbers: bool = False

    def places(self, values: Sequence[Any]) -> Floats:
        """Positions of some values."""
        return np.array([self.values.index(value) if self.scale == "names" else value for value in values], dtype=float)


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    Attributes:
        along: what lies along its own horizontal axis, where panels differ in that.
    """

    title: str
    series: Sequence[Series]
    references: Sequence[Reference] = ()
    along: Along | None = None


@dataclass(frozen=True)
class Look:
    """How uncertainty and legends look."""

    spread: Spread = "interval"
    shape: Shape = "band"
    notes: Sequence[str] = field(default=())


def ends(summary: Summary, spread: Spread) -> tuple[float, float]:
    """Both ends of an interval of the mean, or of one standard deviation around it; NaN for one seed."""
    if spread == "interval":
        return summary.low, summary.high
    return summary.mean - summary.std, summary.mean + summary.std


def series_of(label: str, x: Sequence[float] | Floats, samples: Sequence[Sample], spread: Spread) -> Series:
    """A line through the means of samples."""
    return line_through(label, x, [summarize(sample.values) for sample in samples], spread)


def line_through(label: str, x: Sequence[float] | Floats, summaries: Sequence[Summary], spread: Spread) -> Series:
    """A line through means.

    Args:
        x: [points] where they stand.
        summaries: [points] of the values there.
    """
    reach = np.array([ends(summary, spread) for summary in summaries]).reshape(-1, 2)
    means = np.array([summary.mean for summary in summaries])
    sizes = [summary.n for summary in summaries if summary.n] or [0]
    return Series(label, np.asarray(x, dtype=float), means, reach[:, 0], reach[:, 1], max(sizes), min(sizes))


def draw_charts(panels: Sequence[Panel], *, along: Along, y_label: str, look: Look, protocol: str) -> "Figure":
    """At most three panels side by side; each label has one colour in all of them."""
    with style():
        return _draw(panels, along, y_label, look, protocol)


def _draw(panels: Sequence[Panel], along: Along, y_label: str, look: Look, protocol: str) -> "Figure":
    labels = _labels(panels)
    others = list(dict.fromkeys(reference.label for panel in panels for reference in panel.references))
    across, width = _shape(panels, labels)
    down = ceil(len(panels) / across)
    columns, rows = legend_shape([*labels, *others], width)
    height = _panel_height(len(labels), across) * down + 0.13 * rows + 0.3
    figure, body = new_figure(width, height, foot=[*look.notes, _note(panels, look), protocol])
    subplots = list(body.subplots(down, across, squeeze=False).ravel())
    for ax, panel in zip(subplots, panels, strict=False):
        _draw_panel(ax, panel, labels, others, along, look)
        ax.set_xlabel(wrapped((panel.along or along).label, int(width / across * _AXIS_CHARACTERS)))
    for ax in subplots[::across]:
        ax.set_ylabel(wrapped(y_label, 34))
    for unused in subplots[len(panels) :]:
        unused.set_visible(False)
    add_legend(body, subplots[: len(panels)], [*labels, *others], columns, width)
    return figure


def _labels(panels: Sequence[Panel]) -> list[str]:
    return list(dict.fromkeys(series.label for panel in panels for series in panel.series))


def _panel_height(lines: int, across: int) -> float:
    if lines > 2 * _MANY_LINES:
        return 3.0
    return 2.0 if across < 3 else 1.75


def _shape(panels: Sequence[Panel], labels: Sequence[str]) -> tuple[int, float]:
    """Panels side by side, and the width of the figure in inches."""
    across = min(len(panels), 3)
    return across, COLUMN if across == 1 and len(labels) <= 2 * _MANY_LINES else PAGE


def _note(panels: Sequence[Panel], look: Look) -> str:
    sizes = sorted({size for panel in panels for series in panel.series for size in (series.fewest, series.n)})
    seeds = "–".join(str(size) for size in dict.fromkeys([sizes[0], sizes[-1]]))
    shown = "95 % t-interval" if look.spread == "interval" else "± standard deviation"
    if sizes[-1] == 1:
        return "one seed"
    if look.shape == "band" and not _shade(len(_labels(panels))):
        return f"mean over {seeds} seeds; with so many lines without their bands"
    return f"mean over {seeds} seeds; {look.shape}: {shown}"


def _draw_panel(
    ax: "Axes", panel: Panel, labels: Sequence[str], others: Sequence[str], along: Along, look: Look
) -> None:
    for series in panel.series:
        index, drawn = labels.index(series.label), _line_look(series, labels)
        if look.shape == "band":
            _draw_band(ax, series, drawn, shade=_shade(len(labels)))
        else:
            _draw_bars(ax, series, drawn, aside=(index - (len(labels) - 1) / 2) * min(2.5, 16 / len(labels)))
    for reference in panel.references:
        _draw_reference(ax, reference, others.index(reference.label))
    ax.set_title(wrapped(panel.title, 40))
    _set_axis(ax, panel.along or along)


def _line_look(series: Series, labels: Sequence[str]) -> dict[str, Any]:
    """The untrained embedding is grey, as where it is a line across."""
    if series.label == UNTRAINED:
        return {"color": GREY, "linestyle": ":", "marker": "o", "markersize": 2.4}
    trained = [label for label in labels if label != UNTRAINED]
    return line_style(trained.index(series.label), points=len(series.x))


def _shade(lines: int) -> float:
    """Opacity of bands: there are none where so many would lie over each other that none can be read."""
    return 0.0 if lines > 2 * _MANY_LINES else 0.07 if lines > _MANY_LINES else 0.15


def _draw_band(ax: "Axes", series: Series, look: Mapping[str, Any], *, shade: float) -> None:
    ax.plot(series.x, series.mean, label=series.label, **look)
    if series.n > 1 and shade:
        ax.fill_between(series.x, series.low, series.high, color=look["color"], alpha=shade, linewidth=0)


def _draw_bars(ax: "Axes", series: Series, look: Mapping[str, Any], *, aside: float) -> None:
    """Points with error bars, `aside` points beside their place: those of several lines do not hide each other."""
    from matplotlib.transforms import ScaledTranslation

    figure = ax.get_figure(root=True)
    assert figure is not None
    shift = ScaledTranslation(aside / 72, 0, figure.dpi_scale_trans)
    reach = np.nan_to_num([series.mean - series.low, series.high - series.mean])
    thin: Any = {"elinewidth": 0.7, "capsize": 1.5, "capthick": 0.7}
    line, caps, bars = ax.errorbar(series.x, series.mean, yerr=reach, label=series.label, **thin, **look)
    for artist in (line, *caps, *bars):  # limits follow from where the points belong
        artist.set_transform(ax.transData + shift)


def _draw_reference(ax: "Axes", reference: Reference, index: int) -> None:
    summary, color = reference.summary, GREY if index == 0 else "0.2"
    look = _REFERENCE_LOOKS[index % len(_REFERENCE_LOOKS)]
    ax.axhline(summary.mean, color=color, linestyle=look, linewidth=1.0, label=reference.label, zorder=1)
    if isfinite(summary.low):
        ax.axhspan(summary.low, summary.high, color=color, alpha=0.12, linewidth=0, zorder=0)


def _set_axis(ax: "Axes", along: Along) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

    ax.margins(x=0.08 if along.values else 0.02)
    if along.scale == "log":
        ax.set_xscale("log")
    if along.scale == "symlog":
        ax.set_xscale("symlog", linthresh=min(value for value in along.values if value > 0))
    if along.values:
        texts = [value_text(value) for value in along.values]
        places = along.places(along.values)
        ax.xaxis.set_major_locator(FixedLocator(places.tolist()))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(places, texts)
        _slant(ax, texts)
    elif along.whole_numbers:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6))


def _slant(ax: "Axes", texts: Sequence[str]) -> None:
    if sum(map(len, texts)) + 2 * len(texts) > 34:
        ax.tick_params(axis="x", rotation=40)
        for tick in ax.get_xticklabels():
            tick.set_horizontalalignment("right")
            tick.set_rotation_mode("anchor")


def legend_shape(labels: Sequence[str], width: float) -> tuple[int, int]:
    """Columns and lines of text of a legend below the panels."""
    longest = min(max(map(len, labels)), _label_width(width))
    columns = max(1, min(len(labels), int(width * _LEGEND_CHARACTERS / (longest + _KEY))))
    text_lines = sum(wrapped(label, _label_width(width)).count("\n") + 1 for label in labels)
    return columns, ceil(text_lines / columns)


def _label_width(width: float) -> int:
    return int(width * _LEGEND_CHARACTERS) - _KEY


def add_legend(
    body: "SubFigure", subplots: "Sequence[Axes]", labels: Sequence[str], columns: int, width: float
) -> None:
    """One legend below all panels, in the order of the labels."""
    handles: dict[str, Any] = {}
    for ax in subplots:
        found, names = ax.get_legend_handles_labels()
        handles.update(dict(zip(names, found, strict=True)))
    order = [label for label in labels if label in handles]
    texts = [wrapped(label, _label_width(width)) for label in order]
    body.legend([handles[label] for label in order], texts, loc="outside lower center", ncols=columns, handlelength=2.8)
