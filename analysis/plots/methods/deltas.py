"""Forest plot: the difference of every method to its baseline, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from analysis.cells import EMPTY, PlannedCell, cell_samples, planned_cells
from analysis.claims.checking import tested_claims
from analysis.claims.model import Tested
from analysis.labels import setting_text
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.shared.rows import row_layout, side_by_side, signed, value_column
from analysis.plots.shared.selection import Settings, settled_cells
from analysis.plots.shared.style import GREY, PALETTE, style
from analysis.protocol.notes import protocol_line
from analysis.statistics import Comparison, compare_all
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Delta:
    """One cell against another one: its baseline, or what a claim holds it against.

    Attributes:
        claim: the test, where the study claimed this difference.
    """

    cell: PlannedCell
    other: PlannedCell
    comparison: Comparison
    claim: Tested | None = None


def forest(
    results: Results,
    *,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    settings: Settings = "all",
) -> "list[Figure]":
    """A row per method and setting, a panel per dataset: the mean difference to the baseline and its 95 % t-interval.

    Differences are paired by seed where seeds are the same. Claims of the study are filled diamonds with their p-value
    after Holm over all claims, starred where that is significant; every other difference is an open circle, and nobody
    planned to test it.

    Args:
        results: one or several studies, finished or not.
        metric: as in `comparison_table`.
        methods: those to draw; by default all that have a baseline.
        settings: "all" cells, or per method the setting "chosen" on validation classes.

    Returns:
        One figure, or several where there are more datasets than fit beside each other (three at most).

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
    keys = {cell.key for delta in deltas for cell in (delta.cell, delta.other)}
    with style():
        return _draw(deltas, found, [_note(deltas), protocol_line(results, keys)])


def differences(results: Results, metric: Metric, cells: Sequence[PlannedCell]) -> list[Delta]:
    """Of all cells that have a baseline, and all claims of the metric; in the unit that is shown."""
    samples = cell_samples(results.replicates, metric.column, factor=metric.factor)
    planned = {cell.key: cell for cell in planned_cells(results)}
    claims = {(each.better.key, each.worse.key): each for each in _claimed(results, metric)}
    pairs = [(cell, planned[cell.baseline]) for cell in cells if cell.baseline is not None]
    known, drawn = {(one.key, two.key) for one, two in pairs}, {cell.key for cell in cells}
    pairs += [(each.better, each.worse) for key, each in claims.items() if key not in known and key[0] in drawn]
    compared = compare_all([(samples.get(one.key, EMPTY), samples.get(two.key, EMPTY)) for one, two in pairs])
    return [
        Delta(one, two, comparison, claims.get((one.key, two.key)))
        for (one, two), comparison in zip(pairs, compared, strict=True)
    ]


def _claimed(results: Results, metric: Metric) -> list[Tested]:
    if not any(plan.get("claims") for plan in results.plans.values()):
        return []
    tested = tested_claims(results)
    return [each for each in tested if each.claim.origin == "claimed" and each.metric.column == metric.column]


def _note(deltas: Sequence[Delta]) -> str:
    known = [delta.comparison for delta in deltas if delta.comparison.n]
    sizes = sorted({comparison.n for comparison in known})
    n = "–".join(str(size) for size in dict.fromkeys([sizes[0], sizes[-1]]))
    paired = {comparison.paired for comparison in known}
    how = "paired by seed" if paired == {True} else "Welch" if paired == {False} else "paired by seed, or Welch"
    claims = [delta.claim for delta in deltas if delta.claim]
    marks = "diamonds: claims of the study, p after Holm over all claims, * significant" if claims else ""
    others = "circles: nobody planned to test them" if claims and len(claims) < len(deltas) else ""
    interval = f"95 % t-interval ({how}, not corrected for their number); n = {n}" if sizes[-1] > 1 else "one seed"
    return "; ".join(filter(None, [f"mean difference to the baseline, {interval}", marks, others]))


def _draw(deltas: Sequence[Delta], metric: Metric, foot: Sequence[str]) -> "list[Figure]":
    rows = _rows(deltas)
    shown = {delta.cell.dataset: [row.get(delta.cell.dataset) for row in rows.values()] for delta in deltas}
    texts = {dataset: [_text(delta, metric) for delta in found] for dataset, found in shown.items()}
    every = [text for found in texts.values() for text in found]
    figures = []
    for datasets in side_by_side(list(shown), list(rows), every):
        layout = row_layout(list(rows), datasets, values=every, x_label=_x_label(metric), foot=foot)
        for ax, dataset in zip(layout.axes, datasets, strict=True):
            _draw_marks(ax, layout.places, shown[dataset])
            bold = [bool(delta and delta.claim) for delta in shown[dataset]]
            value_column(ax, layout.places, texts[dataset], heading="mean [95 %]", bold=bold)
        figures.append(layout.figure)
    return figures


def _rows(deltas: Sequence[Delta]) -> dict[str, dict[str, Delta]]:
    """By label and dataset; the other method is named where it is not the same for all."""
    several = len({delta.cell.study for delta in deltas}) > 1
    others = len({delta.other.method for delta in deltas}) > 1
    rows: dict[str, dict[str, Delta]] = {}
    for delta in deltas:
        details = [delta.cell.study if several else "", setting_text(dict(delta.cell.axes))]
        label = delta.cell.method + "".join(f", {text}" for text in details if text)
        rows.setdefault(label + (f" − {delta.other.method}" if others else ""), {})[delta.cell.dataset] = delta
    return rows


def _x_label(metric: Metric) -> str:
    unit = {"%": " (points)", "": ""}.get(metric.unit, f" ({metric.unit})")
    return f"Δ {metric.label}{unit}"


def _draw_marks(ax: "Axes", places: Sequence[float], deltas: Sequence[Delta | None]) -> None:
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    for place, delta in zip(places, deltas, strict=True):
        if delta is None or not delta.comparison.n:
            continue
        result, color = delta.comparison, PALETTE[0] if delta.claim else "0.3"
        if isfinite(result.low):
            ax.plot([result.low, result.high], [place, place], color=color, linewidth=1.2)
        face = color if delta.claim else "white"
        mark: Any = {"marker": "D" if delta.claim else "o", "markersize": 4.0, "markerfacecolor": face}
        ax.plot([result.difference], [place], color=color, linestyle="", **mark)
    ax.margins(x=0.08)
    if not any(delta and delta.comparison.n for delta in deltas):
        ax.set_xlim(-1, 1)  # else around 0, to the last digit


def _text(delta: Delta | None, metric: Metric) -> str:
    if delta is None:
        return ""
    result = delta.comparison
    if not result.n:
        return "no result"
    numbers = [result.difference, *((result.low, result.high) if isfinite(result.low) else ())]
    shown, *interval = [signed(number, metric) for number in numbers]
    text = shown + (f" [{', '.join(interval)}]" if interval else "")
    return text + (_test_text(delta.claim) if delta.claim else "")


def _test_text(tested: Tested) -> str:
    if not isfinite(tested.p_value):
        return ""
    p_value = "p < 0.001" if tested.p_value < 0.001 else f"p = {tested.p_value:.2g}"
    return f", {p_value}" + ("*" if tested.verdict in ("better", "worse") else "")
