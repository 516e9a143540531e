"""What quality costs: a point per method, and the front that no other method beats in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.cells import UNTRAINED, PlannedCell, Sample, cell_samples
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.shared.charts import Reference
from analysis.plots.shared.curve_lines import references
from analysis.plots.shared.names import cell_labels
from analysis.plots.shared.panels import legend_below, legend_height, panel_grid
from analysis.plots.shared.selection import settled_cells
from analysis.plots.shared.style import COLUMN, GREY, MARKERS, PAGE, PALETTE, style, wrapped
from analysis.protocol.notes import protocol_line
from analysis.statistics import summarize
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRONT = "Pareto front"
_NOTE = (
    "mean over seeds; vertical: 95 % t-interval, horizontal: lowest to highest seed; ringed: on the front. What cost "
    "no training of its own is no point"
)
_TITLES = {
    "train_seconds": "Training time (s)",
    "wall_seconds": "Wall-clock time (s)",
    "epochs_trained": "Epochs trained",
    "embedding_dim": "Embedding dimension",
}


@dataclass(frozen=True)
class CostPoint:
    """One cell.

    Attributes:
        cost, quality: by seed, in the units of their metrics.
        front: whether no other cell of its dataset is at least as good in both, and better in one.
    """

    label: str
    dataset: str
    cost: Sample
    quality: Sample
    front: bool = False


def cost_quality(
    results: Results,
    *,
    metric: str = "map_at_r",
    cost: str = "train_seconds",
    methods: Sequence[str] | None = None,
) -> "Figure":
    """One panel per dataset, a point per method: the mean metric over its mean cost, 95 % t-intervals, Pareto front.

    Of a method with several settings the one that validation chose is drawn, or all where nothing was validated. An
    untrained network is a line.

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
    cells = settled_cells(results, methods, "chosen")
    points = cost_points(results, cells, quality, price)
    if len(points) < 2:
        raise DmlStudyError(f"{len(points)} cells have both '{quality.column}' and '{price.column}'; two are needed")
    datasets = list(dict.fromkeys(point.dataset for point in points))
    looks = {label: _look(index) for index, label in enumerate(dict.fromkeys(point.label for point in points))}
    untrained = references(results, cells, quality)
    texts = [*looks, _FRONT, *([UNTRAINED] if untrained else [])]
    width = COLUMN if len(datasets) == 1 and len(texts) <= 10 else PAGE
    with style():
        more = legend_height(texts, width)
        foot = [_NOTE, protocol_line(results, [cell.key for cell in cells])]
        figure, body, subplots = panel_grid(len(datasets), height=2.2, foot=foot, width=width, more=more)
        for ax, dataset in zip(subplots, datasets, strict=True):
            _draw(ax, [point for point in points if point.dataset == dataset], looks, untrained.get(dataset))
            ax.set_title(wrapped(dataset, 32))
            ax.set_xlabel(_TITLES.get(price.column, price.title))
        for ax in subplots[::3]:
            ax.set_ylabel(wrapped(quality.title, 30))
        legend_below(body, subplots, texts, width)
        return figure


def cost_points(results: Results, cells: Sequence[PlannedCell], quality: Metric, price: Metric) -> list[CostPoint]:
    """The cells with both numbers, those on the front of their dataset marked."""
    replicates = results.replicates
    values = cell_samples(replicates, quality.column, factor=quality.factor)
    costs = cell_samples(replicates, price.column, factor=price.factor)
    known = [cell for cell in cells if cell.key in values and cell.key in costs]
    known = [cell for cell in known if cell.method != UNTRAINED and costs[cell.key].values.any()]
    labels = cell_labels(known)
    points = [CostPoint(labels[cell.key], cell.dataset, costs[cell.key], values[cell.key]) for cell in known]
    sign = 1.0 if quality.higher_is_better else -1.0
    return [_marked(point, points, sign) for point in points]


def _marked(point: CostPoint, points: Sequence[CostPoint], sign: float) -> CostPoint:
    rivals = [other for other in points if other.dataset == point.dataset]
    beaten = any(_beats(rival, point, sign) for rival in rivals)
    return CostPoint(point.label, point.dataset, point.cost, point.quality, front=not beaten)


def _beats(rival: CostPoint, point: CostPoint, sign: float) -> bool:
    better, cheaper = sign * (rival.quality.mean - point.quality.mean), point.cost.mean - rival.cost.mean
    return better >= 0 and cheaper >= 0 and (better > 0 or cheaper > 0)


def _look(index: int) -> dict[str, Any]:
    """Another colour and another marker from point to point."""
    marker = (*MARKERS, "v", "P", "X")[(index + index // len(PALETTE)) % 7]
    return {"color": PALETTE[index % len(PALETTE)], "marker": marker}


def _draw(
    ax: "Axes", points: Sequence[CostPoint], looks: Mapping[str, Mapping[str, Any]], untrained: Reference | None
) -> None:
    from matplotlib.ticker import StrMethodFormatter

    costs = [point.cost.mean for point in points]
    if min(costs) > 0 and max(costs) / min(costs) > 20:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    front = sorted((point for point in points if point.front), key=lambda point: point.cost.mean)
    places = [point.cost.mean for point in front], [point.quality.mean for point in front]
    ax.step(*places, where="post", label=_FRONT, color="0.6", linewidth=0.9, zorder=1)
    for point in points:
        _draw_point(ax, point, looks[point.label])
    if untrained is not None:
        ax.axhline(untrained.summary.mean, color=GREY, linestyle=":", linewidth=1.0, label=UNTRAINED)
    ax.margins(0.06)


def _draw_point(ax: "Axes", point: CostPoint, look: Mapping[str, Any]) -> None:
    cost, quality = point.cost.mean, summarize(point.quality.values)
    across = [[cost - point.cost.values.min()], [point.cost.values.max() - cost]]
    up = quality.high - quality.mean if quality.n > 1 else None
    bars: dict[str, Any] = {"elinewidth": 0.7, "linestyle": "", "markersize": 4.0, "zorder": 3}
    ax.errorbar(cost, quality.mean, xerr=across, yerr=up, label=point.label, **bars, **look)
    if point.front:
        ring: dict[str, Any] = {
            "markersize": 7.5,
            "markerfacecolor": "none",
            "markeredgecolor": "black",
            "markeredgewidth": 0.7,
        }
        ax.plot(cost, quality.mean, marker="o", linestyle="", zorder=4, **ring)
