"""What quality costs: a point per method, and the front that no other method beats in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from analysis.cells import UNTRAINED, PlannedCell
from analysis.labels import setting_text
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.curve_lines import curve_cells
from analysis.plots.panels import add_legend, legend_height, panel_grid
from analysis.plots.style import COLUMN, GREY, MARKERS, PAGE, PALETTE, style, wrapped
from analysis.protocol import protocol_line
from analysis.samples import cell_samples
from analysis.statistics import Summary, summarize
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRONT = "Pareto front"


@dataclass(frozen=True)
class CostPoint:
    """One cell.

    Attributes:
        cost, quality: over its seeds, in the units of their metrics.
        front: whether no other cell of its dataset is at least as good in both, and better in one.
    """

    label: str
    dataset: str
    cost: Summary
    quality: Summary
    front: bool = False


def cost_quality(
    results: Results,
    *,
    metric: str = "map_at_r",
    cost: str = "train_seconds",
    methods: Sequence[str] | None = None,
) -> "Figure":
    """One panel per dataset, a point per method: the mean metric over its mean cost, 95 % t-intervals, Pareto front.

    Of a method with several settings the one that validation chose is drawn, or all where nothing was validated.

    Args:
        results: one or several studies, finished or not.
        metric: as in `comparison_table`.
        cost: a number of `Results.runs` that should be small: train_seconds, wall_seconds, epochs_trained, steps,
            embedding_dim, peak_gpu_memory.
        methods: those to draw; all by default.

    Raises:
        DmlStudyError: the columns are missing, or fewer than two cells have both.
    """
    columns = set(results.replicates.columns)
    quality, price = find_metric(metric, columns), find_metric(cost, columns, prefix="")
    cells = curve_cells(results, methods, "chosen")
    points = cost_points(results, cells, quality, price)
    if len(points) < 2:
        raise DmlStudyError(f"{len(points)} cells have both '{quality.column}' and '{price.column}'; two are needed")
    labels = list(dict.fromkeys(point.label for point in points))
    datasets = list(dict.fromkeys(point.dataset for point in points))
    width = COLUMN if len(datasets) == 1 else PAGE
    foot = ["mean over seeds, 95 % t-intervals; ringed: on the front", protocol_line(results, [c.key for c in cells])]
    with style():
        more = legend_height([*labels, _FRONT], width)
        figure, body, subplots = panel_grid(len(datasets), height=2.2, foot=foot, more=more)
        looks = {label: _look(index, label) for index, label in enumerate(labels)}
        for ax, dataset in zip(subplots, datasets, strict=True):
            _draw(ax, [point for point in points if point.dataset == dataset], looks, quality)
            ax.set_title(wrapped(dataset, 32))
            ax.set_xlabel(_cost_title(price))
        for ax in subplots[::3]:
            ax.set_ylabel(wrapped(quality.title, 30))
        add_legend(body, [*map(_handle, looks.values()), _front_handle()], [*labels, _FRONT], width)
        return figure


def cost_points(
    results: Results, cells: Sequence[PlannedCell], quality: Metric, price: Metric
) -> list[CostPoint]:
    """The cells with both numbers, those on the front of their dataset marked."""
    replicates = results.replicates
    values = cell_samples(replicates, quality.column, factor=quality.factor)
    costs = cell_samples(replicates, price.column, factor=price.factor)
    known = [cell for cell in cells if cell.key in values and cell.key in costs]
    several = _with_several(known)
    points = [
        CostPoint(_name(cell, several, results), cell.dataset, *_summaries(costs[cell.key], values[cell.key]))
        for cell in known
    ]
    sign = 1.0 if quality.higher_is_better else -1.0
    return [_marked(point, points, sign) for point in points]


def _summaries(*samples: Any) -> tuple[Summary, Summary]:
    first, second = (summarize(sample.values) for sample in samples)
    return first, second


def _with_several(cells: Sequence[PlannedCell]) -> set[tuple[str, str, str]]:
    places = [(cell.study, cell.method, cell.dataset) for cell in cells]
    return {place for place in places if places.count(place) > 1}


def _name(cell: PlannedCell, several: set[tuple[str, str, str]], results: Results) -> str:
    setting = setting_text(dict(cell.axes)) if (cell.study, cell.method, cell.dataset) in several else ""
    details = ", ".join(filter(None, [cell.study if len(results.plans) > 1 else "", setting]))
    return cell.method + (f" ({details})" if details else "")


def _marked(point: CostPoint, points: Sequence[CostPoint], sign: float) -> CostPoint:
    rivals = [other for other in points if other.dataset == point.dataset]
    beaten = any(_beats(rival, point, sign) for rival in rivals)
    return CostPoint(point.label, point.dataset, point.cost, point.quality, front=not beaten)


def _beats(rival: CostPoint, point: CostPoint, sign: float) -> bool:
    better, cheaper = sign * (rival.quality.mean - point.quality.mean), point.cost.mean - rival.cost.mean
    return better >= 0 and cheaper >= 0 and (better > 0 or cheaper > 0)


def _cost_title(price: Metric) -> str:
    names = {"train_seconds": "Training time (s)", "wall_seconds": "Wall-clock time (s)"}
    return names.get(price.column, price.title)


def _look(index: int, label: str) -> dict[str, Any]:
    """Another colour and another marker from point to point."""
    if label.split(" (")[0] == UNTRAINED:
        return {"color": GREY, "marker": "*"}
    marker = (*MARKERS, "v", "P", "X")[(index + index // len(PALETTE)) % 7]
    return {"color": PALETTE[index % len(PALETTE)], "marker": marker}


def _handle(look: Mapping[str, Any]) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", markersize=4.0, **look)


def _front_handle() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color="0.6", linewidth=0.9)


def _draw(ax: "Axes", points: Sequence[CostPoint], looks: Mapping[str, Mapping[str, Any]], quality: Metric) -> None:
    costs = [point.cost.mean for point in points]
    if min(costs) > 0 and max(costs) / min(costs) > 20:
        ax.set_xscale("log")
    front = sorted((point for point in points if point.front), key=lambda point: point.cost.mean)
    ax.step(
        [point.cost.mean for point in front], [point.quality.mean for point in front], where="post",
        color="0.6", linewidth=0.9, zorder=1,
    )  # fmt: skip
    for point in points:
        look = looks[point.label]
        ax.errorbar(
            point.cost.mean, point.quality.mean, xerr=_reach(point.cost), yerr=_reach(point.quality),
            markersize=4.0, elinewidth=0.7, linestyle="", zorder=3, **look,
        )  # fmt: skip
        if point.front:
            ring = {"markersize": 7.5, "markerfacecolor": "none", "markeredgecolor": "black", "markeredgewidth": 0.7}
            ax.plot(point.cost.mean, point.quality.mean, marker="o", linestyle="", zorder=4, **ring)
    ax.margins(0.06)


def _reach(summary: Summary) -> float | None:
    reach = summary.high - summary.mean
    return reach if isfinite(reach) else None
