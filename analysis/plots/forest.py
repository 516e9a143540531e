"""Forest plot: the difference of every method to its baseline, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from analysis.cells import PlannedCell
from analysis.labels import setting_text
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.rows import RowLayout, row_layout, signed, value_column
from analysis.plots.selection import Settings, settled_cells
from analysis.plots.style import GREY, PALETTE, style
from analysis.protocol import protocol_line
from analysis.samples import EMPTY, CellKey, cell_samples
from analysis.statistics import Comparison, compare_all
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = 3
_CLAIM = " ◆"


@dataclass(frozen=True)
class Delta:
    """One cell against its baseline."""

    cell: PlannedCell
    baseline: str
    comparison: Comparison
    claimed: bool


def forest(
    results: Results,
    *,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    settings: Settings = "all",
) -> "list[Figure]":
    """A row per method and setting, a panel per dataset: the mean difference to the baseline and its 95 % t-interval.

    Differences are paired by seed where seeds are the same. Claims of the study are filled diamonds; every other
    difference is an open circle, and was not planned to be tested.

    Args:
        results: one or several studies, finished or not.
        metric: as in `comparison_table`.
        methods: those to draw; by default all that have a baseline.
        settings: "all" cells, or per method the setting "chosen" on validation classes.

    Returns:
        A figure for every three datasets.

    Raises:
        DmlStudyError: no method has a baseline, or none has a result together with it.
    """
    found = find_metric(metric, set(results.replicates.columns))
    deltas = differences(results, found, settled_cells(results, methods, settings))
    if not any(delta.comparison.n for delta in deltas):
        raise DmlStudyError(
            f"no method and its baseline both have a result of '{found.column}'"
            if deltas
            else "no method names a `baseline` to be compared with"
        )
    datasets = list(dict.fromkeys(delta.cell.dataset for delta in deltas))
    keys = {key for delta in deltas for key in (delta.cell.key, delta.cell.baseline) if key is not None}
    with style():
        foot = [_note(deltas), protocol_line(results, keys)]
        parts = [datasets[start : start + _PANELS] for start in range(0, len(datasets), _PANELS)]
        return [_draw(deltas, part, found, foot) for part in parts]


def differences(results: Results, metric: Metric, cells: Sequence[PlannedCell]) -> list[Delta]:
    """Of all cells that have a baseline, in the unit that is shown; empty where a result is missing."""
    samples = cell_samples(results.replicates, metric.column, factor=metric.factor)
    against = [(cell, cell.baseline) for cell in cells if cell.baseline is not None]
    pairs = [(samples.get(cell.key, EMPTY), samples.get(baseline, EMPTY)) for cell, baseline in against]
    claims = {study: plan.get("claims", []) for study, plan in results.plans.items()}
    deltas = []
    for (cell, baseline), comparison in zip(against, compare_all(pairs), strict=True):
        name = _method(results, baseline)
        claim = any(
            (each["better"], each["worse"]) == (cell.method, name) and metric.column == f"test_{each['metric']}"
            for each in claims[cell.study]
        )
        deltas.append(Delta(cell, name, comparison, claim))
    return deltas


def _method(results: Results, key: CellKey) -> str:
    return str(results.plans[key[0]]["cells"][key[1]]["method"])


def _note(deltas: Sequence[Delta]) -> str:
    sizes = sorted({delta.comparison.n for delta in deltas if delta.comparison.n})
    n = "–".join(str(size) for size in dict.fromkeys([sizes[0], sizes[-1]]))
    paired = {delta.comparison.paired for delta in deltas if delta.comparison.n}
    how = "paired by seed" if paired == {True} else "Welch" if paired == {False} else "paired by seed, or Welch"
    marks = "◆ claim of the study; others were not planned to be tested" if any(d.claimed for d in deltas) else ""
    interval = f"95 % t-interval ({how}, not corrected for their number); n = {n}" if sizes[-1] > 1 else "one seed"
    return "; ".join(filter(None, [f"mean difference to the baseline, {interval}", marks]))


def _draw(deltas: Sequence[Delta], datasets: Sequence[str], metric: Metric, foot: Sequence[str]) -> "Figure":
    rows = _rows(deltas)
    layout = row_layout(list(rows), datasets, x_label=_x_label(metric), foot=foot)
    for ax, dataset in zip(layout.axes, datasets, strict=True):
        _draw_panel(ax, layout, [by_dataset.get(dataset) for by_dataset in rows.values()], metric)
    return layout.figure


def _rows(deltas: Sequence[Delta]) -> dict[str, dict[str, Delta]]:
    """By label and dataset. The baseline is named where methods have different ones, or are called alike."""
    several = {name: len({getattr(delta.cell, name) for delta in deltas}) > 1 for name in ("study", "method")}
    baselines = len({delta.baseline for delta in deltas}) > 1
    rows: dict[str, dict[str, Delta]] = {}
    for delta in deltas:
        details = [delta.cell.study if several["study"] else "", setting_text(dict(delta.cell.axes))]
        label = delta.cell.method + "".join(f", {text}" for text in details if text)
        label += f" − {delta.baseline}" if baselines else ""
        rows.setdefault(label, {})[delta.cell.dataset] = delta
    return rows


def _x_label(metric: Metric) -> str:
    unit = {"%": " (points)", "": ""}.get(metric.unit, f" ({metric.unit})")
    return f"Δ {metric.label}{unit}"


def _draw_panel(ax: "Axes", layout: RowLayout, deltas: Sequence[Delta | None], metric: Metric) -> None:
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    for place, delta in zip(layout.places, deltas, strict=True):
        if delta is None or not delta.comparison.n:
            continue
        result, color = delta.comparison, PALETTE[0] if delta.claimed else "0.3"
        if isfinite(result.low):
            ax.plot([result.low, result.high], [place, place], color=color, linewidth=1.2)
        face = color if delta.claimed else "white"
        mark: Any = {"marker": "D" if delta.claimed else "o", "markersize": 4.0, "markerfacecolor": face}
        ax.plot([result.difference], [place], color=color, linestyle="", **mark)
    texts = ["" if delta is None else _text(delta, metric) for delta in deltas]
    value_column(ax, layout.places, texts, bold=[bool(delta and delta.claimed) for delta in deltas])


def _text(delta: Delta, metric: Metric) -> str:
    result = delta.comparison
    if not result.n:
        return "no result"
    numbers = [result.difference, *((result.low, result.high) if isfinite(result.low) else ())]
    shown, *interval = [signed(number, metric) for number in numbers]
    return shown + (f" [{', '.join(interval)}]" if interval else "") + (_CLAIM if delta.claimed else "")
