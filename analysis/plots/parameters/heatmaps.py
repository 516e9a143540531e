"""Heatmaps of any two compared parameters, with their uncertainty."""

from collections.abc import Mapping, Sequence
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.cells import Floats
from analysis.labels import axis_labels, value_text
from analysis.loading import Results
from analysis.plots.parameters.grids import Grid, Panel, Show, Tile, arrange
from analysis.plots.shared.charts import Spread
from analysis.plots.shared.style import COLUMN, DIVERGING, PAGE, SEQUENTIAL, new_figure, style, wrapped
from analysis.protocol.notes import protocol_line
from analysis.statistics import GENEROUS_FROM, NAN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


def heatmap(
    results: Results,
    *,
    x: str | None = None,
    y: str | None = None,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    show: Show = "value",
    spread: Spread = "std",
) -> "Figure":
    """One panel per dataset and method: the mean over seeds and its spread at every pair of two parameters.

    The best mean of a panel is framed; bold is, as in tables, what from five seeds on is not significantly worse.

    Args:
        results: one or several studies, finished or not; missing cells are hatched.
        x, y: compared parameters, "synthesis.ratio", or "dataset" or "method"; by default the only two numeric ones.
        metric: as in `comparison_table`.
        methods: those to draw; by default all that have both parameters.
        show: "difference" draws the difference to the method's baseline, with half the width of its 95 % interval.
        spread: of values: one standard deviation over seeds, or half the 95 % t-interval of the mean.

    Raises:
        DmlStudyError: the parameters cannot be inferred, or no method has both.
    """
    panels, grid = arrange(results, x=x, y=y, metric=metric, methods=methods, show=show, spread=spread)
    with style():
        return _draw(panels, grid, foot=[_note(grid), protocol_line(results, grid.cells)])


def _draw(panels: Sequence[Panel], grid: Grid, *, foot: Sequence[str]) -> "Figure":
    by_dataset: dict[str, list[Panel]] = {}
    for panel in panels:
        by_dataset.setdefault(panel.dataset, []).append(panel)
    width, across = _widths(by_dataset, grid)
    down = [ceil(len(members) / across) for members in by_dataset.values()]
    figure, body = new_figure(width, sum(down) * _panel_height(grid, panels, width / across) + 0.1, foot=foot)
    subplots = body.subplots(sum(down), across, squeeze=False)
    for index, members in enumerate(by_dataset.values()):
        start = sum(down[:index])
        _draw_dataset(body, subplots[start : start + down[index]], members, grid, width / across)
    return figure


def _note(grid: Grid) -> str:
    if grid.n < 2:
        return "one seed; hatched: no result" if grid.n else "hatched: no result"
    if grid.show == "difference":
        return f"difference to the baseline ± half its 95 % t-interval, paired by seed; n = {grid.n} unless stated"
    shown = "standard deviation over seeds" if grid.spread == "std" else "half the 95 % t-interval"
    bold = "; bold: not significantly worse" if grid.n >= GENEROUS_FROM else ""
    return f"mean ± {shown}; n = {grid.n} unless stated; framed: best of its panel{bold}"


def _widths(by_dataset: Mapping[str, Sequence[Panel]], grid: Grid) -> tuple[float, int]:
    """Figure width in inches and panels side by side: one column's width for a single small panel, else a page's."""
    most = max(len(members) for members in by_dataset.values())
    tile = 0.42 if len(grid.columns) <= 6 else 0.36
    if most == 1 and len(grid.columns) <= 5 and _longest(grid.rows) <= 18:
        return COLUMN, 1
    fitting = max(1, int((PAGE - 0.7) / (0.4 + tile * len(grid.columns))))
    across = most if most <= min(fitting, 4) else min(fitting, 3)
    return max(PAGE, 1.2 + tile * len(grid.columns) * across), across


def _longest(values: Sequence[Any]) -> int:
    return max(len(value_text(value)) for value in values)


def _panel_height(grid: Grid, panels: Sequence[Panel], width: float) -> float:
    lines = max(_title(panel, grid, width).count("\n") + 1 for panel in panels)
    longest = _longest(grid.columns)
    slanted = min(0.035 * longest, 1.0) if longest > 6 else 0.0
    return 0.36 * len(grid.rows) + 0.14 * lines + 0.45 + slanted


def _title(panel: Panel, grid: Grid, width: float) -> str:
    title = wrapped(panel.title, max(14, int(width * 14)))
    if panel.baseline is None or grid.show == "difference":
        return title
    return f"{title}\n(baseline {' '.join(_numbers(panel.baseline, grid))})"


def _draw_dataset(body: "SubFigure", axes: Any, panels: Sequence[Panel], grid: Grid, width: float) -> None:
    """Panels of one dataset share their colours and have one colour bar. axes: [rows, panels side by side]."""
    norm = _norm([tile.value for panel in panels for tile in panel.tiles.values()], grid.show)
    flat, across = list(axes.ravel()), axes.shape[1]
    for index, (ax, panel) in enumerate(zip(flat, panels, strict=False)):
        image = _draw_tiles(ax, panel, grid, norm)
        lowest = index + across >= len(panels)
        _label(ax, _title(panel, grid, width), grid, leftmost=index % across == 0, lowest=lowest)
    for unused in flat[len(panels) :]:
        unused.set_visible(False)
    bar = body.colorbar(image, ax=flat, shrink=0.9, aspect=25, pad=0.02)
    bar.outline.set_linewidth(0.4)
    bar.set_label(_bar_label(grid))


def _bar_label(grid: Grid) -> str:
    if grid.show == "value":
        return wrapped(grid.metric.title, 20)
    unit = {"%": " (points)", "": ""}.get(grid.metric.unit, f" ({grid.metric.unit})")
    return wrapped(f"Δ {grid.metric.label}{unit}", 20)


def _norm(values: Sequence[float], show: Show) -> Any:
    from matplotlib.colors import Normalize

    known = [value for value in values if isfinite(value)] or [0.0]
    if show == "difference":
        reach = max(map(abs, known)) or 1.0
        return Normalize(-reach, reach)
    low, high = min(known), max(known)
    return Normalize(low - 0.5, high + 0.5) if low == high else Normalize(low, high)


def _draw_tiles(ax: "Axes", panel: Panel, grid: Grid, norm: Any) -> Any:
    tiles = [[panel.tiles.get((x, y), Tile(NAN, NAN, 0)) for x in grid.columns] for y in grid.rows]
    values: Floats = np.array([[tile.value for tile in row] for row in tiles])
    colors = SEQUENTIAL if grid.show == "value" else DIVERGING
    image = ax.imshow(np.ma.masked_invalid(values), cmap=colors, norm=norm, aspect="auto", origin="lower")
    for row, line in enumerate(tiles):
        for column, tile in enumerate(line):
            _annotate(ax, image, (column, row), tile, grid)
    return image


def _annotate(ax: "Axes", image: Any, place: tuple[int, int], tile: Tile, grid: Grid) -> None:
    from matplotlib.patches import Rectangle

    if not isfinite(tile.value):
        corner = (place[0] - 0.5, place[1] - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor="0.6", hatch="////", linewidth=0))
        return
    color = _readable_on(image.cmap(image.norm(tile.value)))
    lines = _numbers(tile, grid) + ([f"n={tile.n}"] if tile.n < grid.n else [])
    weight = "bold" if tile.bold else "normal"
    look: Any = {"ha": "center", "va": "center", "fontsize": 6.0, "linespacing": 1.05, "fontweight": weight}
    ax.text(*place, "\n".join(lines), color=color, **look)
    if tile.best:
        corner = (place[0] - 0.46, place[1] - 0.46)
        ax.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=color, linewidth=1.1))


def _readable_on(background: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the larger WCAG contrast."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def _numbers(tile: Tile, grid: Grid) -> list[str]:
    """The number and its spread, where it has one."""
    decimals = 1 if grid.metric.unit == "%" and len(grid.columns) > 6 else grid.metric.decimals
    sign = "+" if grid.show == "difference" else ""
    texts = [f"{tile.value:{sign}.{decimals}f}", f"±{tile.spread:.{decimals}f}" if isfinite(tile.spread) else ""]
    return [text.replace("-", "−") for text in texts if text]


def _label(ax: "Axes", title: str, grid: Grid, *, leftmost: bool, lowest: bool) -> None:
    labels = axis_labels([grid.x, grid.y])
    columns, rows = [value_text(value) for value in grid.columns], [value_text(value) for value in grid.rows]
    long = _longest(grid.columns) > 6
    ax.set_title(title)
    ax.set_xticks(range(len(columns)), columns if lowest else [""] * len(columns))
    ax.tick_params(axis="x", rotation=30 if long else 0)
    for tick in ax.get_xticklabels():
        tick.set_horizontalalignment("right" if long else "center")
    row_width = max(18, ceil(_longest(grid.rows) / 2) + 3)
    ax.set_yticks(range(len(rows)), [wrapped(text, row_width) for text in rows] if leftmost else [""] * len(rows))
    ax.set_ylabel(labels[grid.y] if leftmost else "")
    ax.set_xlabel(labels[grid.x] if lowest else "")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
