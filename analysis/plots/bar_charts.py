"""Bars: a metric of every method on every dataset."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from analysis.cells import UNTRAINED
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.charts import Spread, ends
from analysis.plots.rows import BAR, RowLayout, number_text, row_layout, value_column
from analysis.plots.selection import Entry, Settings, entries, settled_cells
from analysis.plots.style import PALETTE, style
from analysis.protocol import protocol_line
from analysis.samples import EMPTY, CellKey, Sample, cell_samples
from analysis.statistics import bold_cells, summarize
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = 3
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
        A figure for every three datasets.

    Raises:
        DmlStudyError: no run is complete with the metric.
    """
    found = find_metric(metric, set(results.replicates.columns))
    samples = cell_samples(results.replicates, found.column, factor=found.factor)
    cells = settled_cells(results, methods, settings)
    if not any(cell.key in samples for cell in cells):
        raise DmlStudyError(f"no run is complete with '{found.column}'")
    rows = entries(cells)
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    with style():
        foot = [_note(rows, samples, spread), protocol_line(results, [cell.key for cell in cells])]
        parts = [datasets[start : start + _PANELS] for start in range(0, len(datasets), _PANELS)]
        return [_draw(rows, part, samples, found, spread, foot) for part in parts]


def _note(rows: Sequence[Entry], samples: Mapping[CellKey, Sample], spread: Spread) -> str:
    most = _most(rows, samples)
    if most < 2:
        return "one seed"
    shown = "95 % t-interval of the mean" if spread == "interval" else "± standard deviation over seeds"
    return f"line and ±: {shown}; n = {most} unless stated; bold: best, and from five seeds on not significantly worse"


def _draw(
    rows: Sequence[Entry],
    datasets: Sequence[str],
    samples: Mapping[CellKey, Sample],
    metric: Metric,
    spread: Spread,
    foot: Sequence[str],
) -> "Figure":
    most = _most(rows, samples)
    shown = {dataset: [_sample(row, dataset, samples) for row in rows] for dataset in datasets}
    texts = {
        dataset: [number_text(summarize(sample.values), spread, metric, most=most) for sample in found]
        for dataset, found in shown.items()
    }
    every = [text for found in texts.values() for text in found]
    layout = row_layout([row.label for row in rows], datasets, values=every, x_label=metric.title, foot=foot)
    for ax, (dataset, found) in zip(layout.axes, shown.items(), strict=True):
        _draw_bars(ax, layout, rows, found, spread)
        bold = bold_cells(found, higher_is_better=metric.higher_is_better)
        value_column(ax, layout.places, texts[dataset], heading="mean ±", bold=bold)
    return layout.figure


def _most(rows: Sequence[Entry], samples: Mapping[CellKey, Sample]) -> int:
    return max(samples.get(cell.key, EMPTY).n for row in rows for cell in row.cells.values())


def _sample(row: Entry, dataset: str, samples: Mapping[CellKey, Sample]) -> Sample:
    return samples.get(row.cells[dataset].key, EMPTY) if dataset in row.cells else EMPTY


def _draw_bars(ax: "Axes", layout: RowLayout, rows: Sequence[Entry], samples: Sequence[Sample], spread: Spread) -> None:
    for row, place, sample in zip(rows, layout.places, samples, strict=True):
        if not sample.n:
            continue
        summary = summarize(sample.values)
        ax.barh(place, summary.mean, height=BAR, color=_LIGHT if row.label == UNTRAINED else PALETTE[5])
        low, high = ends(summary, spread)
        if isfinite(low):
            ax.plot([low, high], [place, place], color="black", linewidth=0.9, solid_capstyle="butt")
