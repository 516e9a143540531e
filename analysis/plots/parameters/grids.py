"""Cells of the plans arranged along two compared parameters: what a heatmap shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from analysis.cells import EMPTY, CellKey, PlannedCell, Sample, cell_samples
from analysis.labels import setting_text
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.shared.charts import Spread, ends
from analysis.plots.shared.selection import cells_of, is_numeric, value_of, values_along
from analysis.statistics import NAN, bold_cells, compare, summarize
from trainables.errors import DmlStudyError

Show = Literal["value", "difference"]
Samples = Mapping[CellKey, Sample]


@dataclass(frozen=True)
class Tile:
    """One number of a panel: the mean or the difference, its spread, and its seeds; NaN where nothing is known.

    Attributes:
        best: no other mean of its panel is better.
        bold: as in tables: the best, and from five seeds on what is not significantly worse.
    """

    value: float
    spread: float
    n: int
    best: bool = False
    bold: bool = False


@dataclass(frozen=True)
class Panel:
    """One heatmap: a method on a dataset, at one setting of the remaining parameters.

    Attributes:
        baseline: what all its tiles are compared with, where that is one cell.
    """

    dataset: str
    title: str
    baseline: Tile | None
    tiles: Mapping[tuple[Any, Any], Tile]


@dataclass(frozen=True)
class Grid:
    """What all panels share: the values along both axes, how they are called, the largest number of seeds.

    Attributes:
        cells: what is drawn, with the baselines.
    """

    x: str
    y: str
    columns: Sequence[Any]
    rows: Sequence[Any]
    metric: Metric
    show: Show
    spread: Spread
    cells: frozenset[CellKey]
    n: int = 0


def arrange(
    results: Results,
    *,
    x: str | None,
    y: str | None,
    metric: str,
    methods: Sequence[str] | None,
    show: Show,
    spread: Spread,
) -> tuple[list[Panel], Grid]:
    """The panels of a heatmap and what they share; see `heatmap`."""
    cells = cells_of(results, methods)
    x, y = _parameters(results, cells, x, y)
    crossed = [cell for cell in cells if value_of(cell, x) is not None and value_of(cell, y) is not None]
    if not crossed:
        raise DmlStudyError(f"no method has both '{x}' and '{y}'; compared parameters: {', '.join(results.axes)}")
    found = find_metric(metric, set(results.replicates.columns))
    samples = cell_samples(results.replicates, found.column, factor=found.factor)
    keys = {key for cell in crossed for key in (cell.key, cell.baseline) if key is not None}
    grid = Grid(
        x, y, values_along(crossed, x), _upwards(values_along(crossed, y)), found, show, spread, frozenset(keys)
    )
    panels = _panels(crossed, samples, grid)
    n = max(tile.n for panel in panels for tile in panel.tiles.values())
    if not n:
        raise DmlStudyError(f"no cell with '{x}' and '{y}' has a result in {found.label} yet")
    return panels, replace(grid, n=n)


def _parameters(results: Results, cells: Sequence[PlannedCell], x: str | None, y: str | None) -> tuple[str, str]:
    known = [*results.axes, "dataset", "method", "study"]
    for name in filter(None, (x, y)):
        if name not in known:
            raise DmlStudyError(f"'{name}' is not compared in these results; known: {', '.join(known)}")
    if x and y:
        return x, y
    wanted = (x is None) + (y is None)
    methods = dict.fromkeys(cell.method for cell in cells)
    free = [_numeric_axes(results, [cell for cell in cells if cell.method == method], (x, y)) for method in methods]
    candidates = {axes for axes in free if len(axes) >= wanted}
    if len(candidates) != 1 or len(next(iter(candidates))) != wanted:
        choice = ", ".join(dict.fromkeys(axis for axes in free for axis in axes)) or "none"
        raise DmlStudyError(f"which two parameters should the heatmap have? Name x and y; numeric ones are: {choice}")
    chosen = iter(next(iter(candidates)))
    return x or next(chosen), y or next(chosen)


def _numeric_axes(results: Results, cells: Sequence[PlannedCell], taken: tuple[str | None, ...]) -> tuple[str, ...]:
    axes = [axis for axis in results.axes if axis not in taken]
    return tuple(axis for axis in axes if is_numeric([value_of(cell, axis) for cell in cells]))


def _upwards(values: list[Any]) -> list[Any]:
    """Rows from the bottom: numbers rise, names are read from the top."""
    return values if is_numeric(values) else values[::-1]


def _panels(cells: Sequence[PlannedCell], samples: Samples, grid: Grid) -> list[Panel]:
    groups: dict[tuple[Any, ...], list[PlannedCell]] = {}
    for cell in cells:
        groups.setdefault(_panel_key(cell, grid), []).append(cell)
    several = {index for index in range(3) if len({key[index] for key in groups}) > 1}
    return [_panel(members, samples, grid, several) for members in groups.values()]


def _panel_key(cell: PlannedCell, grid: Grid) -> tuple[Any, ...]:
    own = [None if axis in (grid.x, grid.y) else value_of(cell, axis) for axis in ("dataset", "study", "method")]
    rest = tuple((axis, value) for axis, value in cell.axes.items() if axis not in (grid.x, grid.y))
    return (*own, rest)


def _panel(cells: Sequence[PlannedCell], samples: Samples, grid: Grid, several: set[int]) -> Panel:
    dataset, study, method, rest = _panel_key(cells[0], grid)
    names = [name for index, name in ((0, dataset), (1, study)) if index in several and name]
    parts = [*names, *filter(None, [method, setting_text(dict(rest))])]
    places = [(value_of(cell, grid.x), value_of(cell, grid.y)) for cell in cells]
    tiles = dict(zip(places, _tiles(cells, samples, grid), strict=True))
    return Panel(dataset or "", ", ".join(parts), _baseline(cells, samples, grid.spread), tiles)


def _baseline(cells: Sequence[PlannedCell], samples: Samples, spread: Spread) -> Tile | None:
    keys = {cell.baseline for cell in cells}
    sample = samples.get(next(iter(keys)) or ("", -1), EMPTY)
    return _value_tile(sample, spread) if len(keys) == 1 and sample.n else None


def _tiles(cells: Sequence[PlannedCell], samples: Samples, grid: Grid) -> list[Tile]:
    found = [samples.get(cell.key, EMPTY) for cell in cells]
    if grid.show == "difference":
        return [_difference_tile(cell, sample, samples) for cell, sample in zip(cells, found, strict=True)]
    bold = bold_cells(found, higher_is_better=grid.metric.higher_is_better)
    best = [sample.mean for sample, strong in zip(found, bold, strict=True) if strong]
    top = (max if grid.metric.higher_is_better else min)(best, default=NAN)
    tiles = [_value_tile(sample, grid.spread) for sample in found]
    return [
        replace(tile, best=strong and tile.value == top, bold=strong) for tile, strong in zip(tiles, bold, strict=True)
    ]


def _value_tile(sample: Sample, spread: Spread) -> Tile:
    summary = summarize(sample.values)
    return Tile(summary.mean, ends(summary, spread)[1] - summary.mean, summary.n)


def _difference_tile(cell: PlannedCell, sample: Sample, samples: Samples) -> Tile:
    if cell.baseline is None:
        return Tile(NAN, NAN, 0)
    comparison = compare(sample, samples.get(cell.baseline, EMPTY))
    return Tile(comparison.difference, (comparison.high - comparison.low) / 2, comparison.n)
