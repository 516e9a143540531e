"""Learning curves: a metric by epoch, mean over seeds with its band."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

from analysis.cells import UNTRAINED
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.curve_lines import Line, curve_cells, mean_curves, named_lines, recorded_metrics, references
from analysis.plots.style import COLUMN, GREY, PAGE, line_style, new_figure, style, wrapped
from analysis.protocol import protocol_line
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Band = Literal["interval", "std"]


def learning_curves(
    results: Results,
    *,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    settings: Literal["chosen", "all"] = "chosen",
    band: Band = "interval",
    phase: Literal["select", "refit"] = "select",
) -> "Figure":
    """One panel per dataset, one line per method: mean over the seeds of complete runs, by epoch.

    Args:
        results: one or several studies, finished or not.
        metric: "map_at_r" means the validation classes'; or any column of `Results.epochs`: "train_loss",
            "test_map_at_r" where it was recorded.
        methods: those to draw; all by default.
        settings: "chosen" draws per method the setting with the best mean validation metric (all of them where nothing
            was validated); "all" draws every cell.
        band: 95 % t-interval of the mean, or one standard deviation; none where there is one seed.
        phase: "refit" for the second training on all training classes.

    Raises:
        DmlStudyError: no complete run recorded the metric by epoch.
    """
    found = find_metric(metric, set(results.epochs.columns), prefix="val_")
    cells = curve_cells(results, methods, settings)
    curves = mean_curves(results, cells, found, phase)
    if not curves:
        recorded = ", ".join(recorded_metrics(results.epochs)) or "nothing"
        raise DmlStudyError(
            f"no seed is complete with '{found.column}' by epoch in phase '{phase}'; recorded by some runs: {recorded}"
        )
    with style():
        protocol = protocol_line(results, [cell.key for cell in cells])
        return _draw(named_lines(cells, curves), references(results, cells, found), found, band, protocol)


def _draw(lines: Sequence[Line], untrained: Mapping[str, float], metric: Metric, band: Band, protocol: str) -> "Figure":
    datasets = list(dict.fromkeys(dataset for line in lines for dataset in line.curves))
    across = min(len(datasets), 3)
    down = ceil(len(datasets) / across)
    width = COLUMN if across == 1 else PAGE
    legend_columns, legend_rows = _legend_shape([line.label for line in lines], width, extra=bool(untrained))
    height = (2.0 if across < 3 else 1.75) * down + 0.13 * legend_rows + 0.3
    figure, body = new_figure(width, height, foot=[_note(lines, band), protocol])
    subplots = list(body.subplots(down, across, squeeze=False).ravel())
    for ax, dataset in zip(subplots, datasets, strict=False):
        _draw_panel(ax, lines, dataset, untrained, metric, band)
    for ax in subplots[::across]:
        ax.set_ylabel(metric.title)
    for unused in subplots[len(datasets) :]:
        unused.set_visible(False)
    _add_legend(body, subplots[: len(datasets)], lines, legend_columns, width)
    return figure


def _note(lines: Sequence[Line], band: Band) -> str:
    sizes = sorted({int(curve["count"].iloc[0]) for line in lines for curve in line.curves.values()})
    seeds = "–".join(str(size) for size in dict.fromkeys([sizes[0], sizes[-1]]))
    shown = "95 % t-interval" if band == "interval" else "± standard deviation"
    return f"mean over {seeds} seeds; band: {shown}" if sizes[-1] > 1 else "one seed"


def _draw_panel(
    ax: "Axes", lines: Sequence[Line], dataset: str, untrained: Mapping[str, float], metric: Metric, band: Band
) -> None:
    from matplotlib.ticker import MaxNLocator

    shade = 0.15 if len(lines) <= 6 else 0.07
    for index, line in enumerate(lines):
        if dataset in line.curves:
            curve = line.curves[dataset]
            _draw_line(ax, curve, line.label, line_style(index, points=len(curve)), band, shade)
    if dataset in untrained:
        ax.axhline(untrained[dataset], color=GREY, linestyle=":", linewidth=1.0, label=UNTRAINED)
    ax.set_title(wrapped(dataset, 40))
    ax.set_xlabel("Epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    ax.margins(x=0.02)


def _draw_line(
    ax: "Axes", curve: "pd.DataFrame", label: str, look: Mapping[str, Any], band: Band, shade: float
) -> None:
    epochs, mean, std, n = (curve[key].to_numpy() for key in ("epoch", "mean", "std", "count"))
    ax.plot(epochs, mean, label=label, **look)
    if n.size and n[0] > 1:
        reach = std if band == "std" else std / np.sqrt(n) * stats.t.ppf(0.975, n - 1)
        ax.fill_between(epochs, mean - reach, mean + reach, color=look["color"], alpha=shade, linewidth=0)


def _legend_shape(labels: Sequence[str], width: float, *, extra: bool) -> tuple[int, int]:
    """Columns and lines of text of a legend below the panels."""
    longest = min(max(map(len, labels)), _label_width(width))
    columns = max(1, min(len(labels), int(width * 19 / (longest + 6))))
    text_lines = sum(wrapped(label, _label_width(width)).count("\n") + 1 for label in labels) + extra
    return columns, ceil(text_lines / columns)


def _label_width(width: float) -> int:
    return int(width * 19) - 6


def _add_legend(
    body: "SubFigure", subplots: Sequence["Axes"], lines: Sequence[Line], columns: int, width: float
) -> None:
    handles: dict[str, Any] = {}
    for ax in subplots:
        found, labels = ax.get_legend_handles_labels()
        handles.update(dict(zip(labels, found, strict=True)))
    order = [label for label in [*(line.label for line in lines), UNTRAINED] if label in handles]
    texts = [wrapped(label, _label_width(width)) for label in order]
    body.legend([handles[label] for label in order], texts, loc="outside lower center", ncols=columns)
