"""Settings as lines across one axis per parameter, the last axis being what they reached."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.labels import axis_labels, value_text
from analysis.loading import Results
from analysis.plots.parameters.tried import Dimension, Setting, Tried, tried_settings
from analysis.plots.shared.panels import legend_below, legend_height, panel_grid, protocol_of
from analysis.plots.shared.style import COLUMN, GREY, PAGE, SEQUENTIAL, style, wrapped
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BEST, _OTHER, _LOST = "best setting", "other settings", "stopped early or failed (no value)"


def parallel_coordinates(
    results: Results, *, metric: str = "map_at_r", methods: Sequence[str] | None = None
) -> "Figure":
    """One panel per search, or per method with several settings: a line per setting through its parameters' values.

    Lines end at the metric, which also colours them; the best one is black with markers, those without a value are
    dotted and end before the metric. Axes are logarithmic where the search space is, or the values' spacing.

    Args:
        results: one or several studies, finished or not.
        metric: as in `tried_settings`.
        methods: those to draw; all by default.

    Raises:
        DmlStudyError: nothing was searched or compared, or nothing of it is finished.
    """
    found = tried_settings(results, metric=metric, methods=methods)
    if not any(tried.complete for tried in found):
        raise DmlStudyError("no setting has a result yet")
    most = max(len(tried.dimensions) for tried in found)
    across = 2 if most <= 4 and len(found) > 1 else 1
    width = COLUMN if len(found) == 1 and most <= 3 else PAGE
    labels = axis_labels(list(dict.fromkeys(each.key for tried in found for each in tried.dimensions)))
    lost = any(setting.state != "complete" for tried in found for setting in tried.settings)
    texts = [_BEST, _OTHER, *([_LOST] if lost else [])]
    runs = frozenset[tuple[str, str]]().union(*(tried.runs for tried in found))
    foot = [_note(found), protocol_of(results, runs)]
    with style():
        more = legend_height(texts, width)
        figure, body, subplots = panel_grid(len(found), height=1.75, foot=foot, across=across, width=width, more=more)
        for ax, tried in zip(subplots, found, strict=True):
            _draw(ax, tried, labels)
        legend_below(body, subplots, texts, width)
        return figure


def _note(found: Sequence[Tried]) -> str:
    logs = any(each.log for tried in found for each in tried.dimensions)
    return "a line per setting, lighter where it is better" + ("; (log): logarithmic axis" if logs else "")


def _draw(ax: "Axes", tried: Tried, labels: dict[str, str]) -> None:
    from matplotlib import colormaps

    values = [setting.value for setting in tried.complete]
    low, high = (min(values), max(values)) if values else (math.nan, math.nan)
    last = Dimension("", low, high)
    places = [_places(dimension, tried.settings) for dimension in tried.dimensions]
    best = tried.best
    for index, setting in enumerate(tried.settings):
        heights = [column[index] for column in places]
        if setting.state != "complete":
            ax.plot(range(len(heights)), heights, color=GREY, linestyle=":", linewidth=0.8, label=_LOST)
            continue
        reached = _height(last, setting.value)
        goodness = reached if tried.sign > 0 else 1 - reached
        look: dict[str, Any] = {
            "color": colormaps[SEQUENTIAL](0.9 * goodness),
            "linewidth": 0.9,
            "zorder": 2 + goodness,
        }
        if setting is best:
            look = {"color": "black", "linewidth": 1.6, "marker": "o", "markersize": 3.0, "zorder": 4}
        ax.plot(range(len(heights) + 1), [*heights, reached], label=_BEST if setting is best else _OTHER, **look)
    _label(ax, tried, labels, last)


def _places(dimension: Dimension, settings: Sequence[Setting]) -> list[float]:
    return [_height(dimension, setting.params[dimension.key]) for setting in settings]


def _height(dimension: Dimension, value: Any) -> float:
    """Between 0 and 1, in the middle where there is one value."""
    if dimension.choices:
        return (dimension.choices.index(value) + 0.5) / len(dimension.choices)
    if dimension.low == dimension.high:
        return 0.5
    low, high, here = dimension.low, dimension.high, float(value)
    if dimension.log:
        low, high, here = math.log(low), math.log(high), math.log(here)
    return (here - low) / (high - low)


def _label(ax: "Axes", tried: Tried, labels: dict[str, str], last: Dimension) -> None:
    names = [_name(dimension, labels) for dimension in tried.dimensions] + [wrapped(tried.metric.title, 14)]
    box = {"facecolor": "white", "alpha": 0.88, "linewidth": 0, "pad": 0.4}
    for place, dimension in enumerate([*tried.dimensions, last]):
        ax.axvline(place, color="black", linewidth=0.6, zorder=1)
        side, distance = ("left", 4) if dimension is last else ("right", -3)
        for height, text in _ticks(dimension, tried):
            look: dict[str, Any] = {"ha": side, "va": "center", "fontsize": 6.0, "bbox": box, "zorder": 5}
            ax.annotate(text, (place, height), (distance, 0), textcoords="offset points", **look)
    ax.set_xticks(range(len(names)), names)
    ax.set_xlim(-0.4, len(names) - 0.7)
    ax.set_ylim(-0.06, 1.06)
    ax.set_yticks([])
    ax.tick_params(axis="x", length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(wrapped(f"{tried.title} ({len(tried.settings)} settings)", 44))


def _name(dimension: Dimension, labels: dict[str, str]) -> str:
    return wrapped(labels[dimension.key], 14) + ("\n(log)" if dimension.log else "")


def _ticks(dimension: Dimension, tried: Tried) -> list[tuple[float, str]]:
    if dimension.choices:
        return [(_height(dimension, value), wrapped(value_text(value), 16)) for value in dimension.choices]
    if not dimension.key:
        known = [] if math.isnan(dimension.low) else sorted({dimension.low, dimension.high})
        return [(_height(dimension, value), f"{value:.{tried.metric.decimals}f}") for value in known]
    return [
        (_height(dimension, value), f"{value:.2g}" if abs(value) < 100 else f"{value:.4g}")
        for value in _marks(dimension)
    ]


def _marks(dimension: Dimension) -> Sequence[float]:
    """Compared numbers where they are few; else both ends and the middle."""
    if 0 < len(dimension.numbers) <= 5:
        return dimension.numbers
    middle = math.sqrt(dimension.low * dimension.high) if dimension.log else (dimension.low + dimension.high) / 2
    return sorted({dimension.low, middle, dimension.high})
