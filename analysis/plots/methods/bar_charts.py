"""Bars: a metric of every method on every dataset."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from analysis.cells import EMPTY, UNTRAINED, CellKey, Sample, cell_samples
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.shared.charts import Spread, ends
from analysis.plots.shared.rows import BAR, number_text, row_layout, side_by_side, value_column
from analysis.plots.shared.selection import Entry, Settings, entries, settled_cells
from analysis.plots.shared.style import PALETTE, style
from analysis.protocol.notes import protocol_line
from analysis.statistics import bold_cells, summarize
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LIGHT = "0.75"


def bars(
    results: Results,
    *,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    settings: Settings = "chosen",
    spread: Spread = "interval",
) -> "list[Figure]":
    """One panel per dataset, one bar per method with its interval and its value; bars begin at zero.

    Values are bold as in tables: the best of a dataset, and from five seeds on what is not significantly worse.

    Args:
        results: one or several studies, finished or not; a bar without a result is empty.
        metric: as in `comparison_table`.
        methods: those to draw; all by default.
        settings: as in `learning_curves`.
        spread: 95 % t-interval of the mean, or one standard deviation over seeds.

    Returns:
        One figure, or several where there are more datasets than fit beside each other (three at most).

    Raises:
        DmlStudyError: no run is complete with the metric.
    """
    found = find_metric(metric, set(results.replicates.columns))
    samples = cell_samples(results.replicates, found.column, factor=found.factor)
    cells = settled_cells(results, methods, settings)
    if not any(cell.key in samples for cell in cells):
        raise DmlStudyError(f"no run is complete with '{found.column}'")
    rows = entries(cells)
    shown = {cell.dataset: [_sample(row, cell.dataset, samples) for row in rows] for cell in cells}
    most = max(sample.n for found in shown.values() for sample in found)
    foot = [_note(most, spread), protocol_line(results, [cell.key for cell in cells])]
    with style():
        return _draw([row.label for row in rows], shown, found, spread, foot)


def _sample(row: Entry, dataset: str, samples: Mapping[CellKey, Sample]) -> Sample:
    return samples.get(row.cells[dataset].key, EMPTY) if dataset in row.cells else EMPTY


def _note(most: int, spread: Spread) -> str:
    if most < 2:
        return "one seed"
    shown = "95 % t-interval of the mean" if spread == "interval" else "± standard deviation over seeds"
    return f"line and ±: {shown}; n = {most} unless stated; bold: best, and from five seeds on not significantly worse"


def _draw(
    labels: Sequence[str], shown: Mapping[str, Sequence[Sample]], metric: Metric, spread: Spread, foot: Sequence[str]
) -> "list[Figure]":
    most = max(sample.n for found in shown.values() for sample in found)
    texts = {
        dataset: [number_text(summarize(sample.values), spread, metric, most=most) for sample in found]
        for dataset, found in shown.items()
    }
    every = [text for found in texts.values() for text in found]
    figures = []
    for datasets in side_by_side(list(shown), labels, every):
        layout = row_layout(labels, datasets, values=every, x_label=metric.title, foot=foot)
        for ax, dataset in zip(layout.axes, datasets, strict=True):
            _draw_bars(ax, layout.places, labels, shown[dataset], spread)
            bold = bold_cells(shown[dataset], higher_is_better=metric.higher_is_better)
            value_column(ax, layout.places, texts[dataset], heading="mean ±", bold=bold)
        figures.append(layout.figure)
    return figures


def _draw_bars(
    ax: "Axes", places: Sequence[float], labels: Sequence[str], samples: Sequence[Sample], spread: Spread
) -> None:
    for label, place, sample in zip(labels, places, samples, strict=True):
        if not sample.n:
            continue
        summary = summarize(sample.values)
        ax.barh(place, summary.mean, height=BAR, color=_LIGHT if label == UNTRAINED else PALETTE[5])
        low, high = ends(summary, spread)
        if isfinite(low):
            ax.plot([low, high], [place, place], color="black", linewidth=0.9, solid_capstyle="butt")
