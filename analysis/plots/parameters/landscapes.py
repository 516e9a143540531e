"""Contours over two parameters whose settings lie on no grid, as searches choose them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.cells import Floats
from analysis.labels import axis_labels
from analysis.loading import Results
from analysis.plots.parameters.tried import Dimension, Setting, Tried, tried_settings
from analysis.plots.shared.panels import panel_grid, protocol_of
from analysis.plots.shared.style import COLUMN, GREY, PAGE, PALETTE, SEQUENTIAL, plain_log_ticks, style, wrapped
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.tri import Triangulation

_LEVELS = 8
_MARGIN = 0.06
_FEWEST = 4
"""Settings that are worth contours: three make one triangle."""


@dataclass(frozen=True)
class Landscape:
    """One panel: what was tried, and the two parameters that it is drawn over."""

    tried: Tried
    x: Dimension
    y: Dimension

    @property
    def known(self) -> list[Setting]:
        """Complete settings with a value."""
        return [setting for setting in self.tried.complete if isfinite(setting.value)]

    def places(self, settings: Sequence[Setting]) -> Floats:
        """[settings, 2] Their two parameters."""
        pairs = [[setting.params[self.x.key], setting.params[self.y.key]] for setting in settings]
        return np.array(pairs, dtype=float).reshape(-1, 2)


def contours(
    results: Results,
    *,
    x: str | None = None,
    y: str | None = None,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
) -> "Figure":
    """One panel per search (or method with several settings): the metric over two parameters, between the settings.

    Values are interpolated linearly between settings, on logarithmic axes where the parameter's space is logarithmic;
    nothing is drawn outside of them. Settings that were stopped early or failed are crosses and take no part.

    Args:
        results: one or several studies, finished or not.
        x, y: varied parameters, "optimizer.lr"; by default the only two numeric ones of each.
        metric: of searches the validation classes' mean, of comparisons the test classes'.
        methods: those to draw; by default all that have both parameters.

    Raises:
        DmlStudyError: nothing has two numeric parameters and four finished settings that do not lie on one line.
    """
    tried = tried_settings(results, metric=metric, methods=methods)
    found = [landscape for each in tried if (landscape := _landscape(each, x, y))]
    drawn = [landscape for landscape in found if _triangles(landscape) is not None]
    if not drawn:
        names = ", ".join(dict.fromkeys(each.key for one in tried for each in _numeric(one))) or "none"
        raise DmlStudyError(
            f"contours need {_FEWEST} finished settings of two numeric parameters, not on one line; name x and y where "
            f"more than two vary; numeric ones: {names}"
        )
    with style():
        return _draw(results, drawn)


def _numeric(tried: Tried) -> list[Dimension]:
    return [each for each in tried.dimensions if not each.choices]


def _landscape(tried: Tried, x: str | None, y: str | None) -> Landscape | None:
    known = {each.key: each for each in _numeric(tried)}
    rest = [key for key in known if key not in (x, y)]
    if x is None and y is None and len(rest) != 2:
        return None
    names = [x or (rest[0] if rest else ""), y or (rest[-1] if rest else "")]
    if not all(name in known for name in names) or names[0] == names[1]:
        return None
    if len(known) > 2 and not (x and y):
        return None
    return Landscape(tried, known[names[0]], known[names[1]])


def _triangles(landscape: Landscape) -> "Triangulation | None":
    """Between complete settings, where they stand in the picture; None where they lie on one line."""
    from matplotlib.tri import Triangulation

    points = landscape.places(landscape.known)
    if len(points) < _FEWEST:
        return None
    columns = [_scaled(points[:, index], each) for index, each in enumerate((landscape.x, landscape.y))]
    try:
        return Triangulation(*columns)
    except RuntimeError:  # what Qhull says of points on one line
        return None


def _scaled(values: Floats, dimension: Dimension) -> Floats:
    """In units of the whole space, so that neither parameter outweighs the other."""
    low, high, here = dimension.low, dimension.high, values
    if dimension.log:
        low, high, here = np.log(low), np.log(high), np.log(values)
    return np.asarray((here - low) / (high - low))


def _unscaled(places: Floats, dimension: Dimension) -> Floats:
    if dimension.log:
        return np.asarray(dimension.low * (dimension.high / dimension.low) ** places)
    return np.asarray(dimension.low + (dimension.high - dimension.low) * places)


def _draw(results: Results, landscapes: Sequence[Landscape]) -> "Figure":
    across = min(len(landscapes), 2)
    width = COLUMN if across == 1 else PAGE
    runs = frozenset[tuple[str, str]]().union(*(each.tried.runs for each in landscapes))
    height = 2.3 if across == 1 else 2.2
    figure, body, subplots = panel_grid(
        len(landscapes), height=height, foot=[_note(landscapes), protocol_of(results, runs)], across=across, width=width
    )
    labels = axis_labels(list(dict.fromkeys(each.key for one in landscapes for each in (one.x, one.y))))
    for ax, landscape in zip(subplots, landscapes, strict=True):
        filled = _draw_panel(ax, landscape)
        ax.set_title(wrapped(landscape.tried.title, 36))
        ax.set_xlabel(labels[landscape.x.key])
        ax.set_ylabel(labels[landscape.y.key])
        bar = body.colorbar(filled, ax=ax, aspect=25, pad=0.02)
        bar.set_label(wrapped(landscape.tried.metric.title, 26))
        bar.outline.set_linewidth(0.4)
    return figure


def _note(landscapes: Sequence[Landscape]) -> str:
    counts = [len(landscape.known) for landscape in landscapes]
    sizes = "–".join(str(size) for size in dict.fromkeys([min(counts), max(counts)]))
    lost = any(setting not in one.known for one in landscapes for setting in one.tried.settings)
    crosses = "; ×: stopped early or failed" if lost else ""
    return f"interpolated between {sizes} settings (dots), without regard to their noise; star: best{crosses}"


def _draw_panel(ax: "Axes", landscape: Landscape) -> Any:
    values = np.array([setting.value for setting in landscape.known])
    filled = ax.tricontourf(_triangles(landscape), values, levels=_levels(values), cmap=SEQUENTIAL)
    sides = (landscape.x, landscape.y)
    for path in filled.get_paths():  # matplotlib interpolates in the coordinates that it is given
        path.vertices = np.column_stack([_unscaled(path.vertices[:, index], each) for index, each in enumerate(sides)])
    _draw_settings(ax, landscape)
    points = landscape.places(landscape.tried.settings)
    for index, (name, axis, dimension) in enumerate(zip("xy", (ax.xaxis, ax.yaxis), sides, strict=True)):
        if dimension.log:
            ax.set(**{f"{name}scale": "log"})
            plain_log_ticks(axis)
        places = _scaled(points[:, index], dimension)
        margin = _MARGIN * float(np.ptp(places))
        ax.set(**{f"{name}lim": _unscaled(np.array([places.min() - margin, places.max() + margin]), dimension)})
    return filled


def _draw_settings(ax: "Axes", landscape: Landscape) -> None:
    edge: Any = {"markeredgecolor": "white", "markeredgewidth": 0.5, "linestyle": ""}
    dots = landscape.places(landscape.known)
    ax.plot(dots[:, 0], dots[:, 1], marker="o", color="black", markersize=3.2, label="settings", **edge)
    best = landscape.tried.best
    if best is not None:
        ax.plot(*landscape.places([best])[0], marker="*", color=PALETTE[1], markersize=9.0, label="best", **edge)
    lost = landscape.places([setting for setting in landscape.tried.settings if setting not in landscape.known])
    if len(lost):
        ax.plot(lost[:, 0], lost[:, 1], marker="x", color=GREY, markersize=3.0, linestyle="", label="stopped")


def _levels(values: Floats) -> Any:
    """Round numbers around the values."""
    from matplotlib.ticker import MaxNLocator

    low, high = float(values.min()), float(values.max())
    return MaxNLocator(_LEVELS).tick_values(low, high if high > low else low + 1.0)
