"""Curricula and events by epoch, under the learning curve: what a synthesis or a strategy did when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.loading import Results
from analysis.metrics import Metric, describe, find_metric
from analysis.plots.curve_lines import Line, curve_cells, mean_curves, named_lines
from analysis.plots.panels import add_legend, legend_height, panel_grid
from analysis.plots.style import COLUMN, PAGE, line_style, style, wrapped
from analysis.protocol import protocol_line
from trainables.errors import DmlStudyError
from trainables.ledger.schema import COLUMNS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.samples import CellKey

QUANTITIES = {
    "synthesis_classes": "Classes in the loss",
    "synthesis_rows": "Rows in the batch",
    "synthesis_memory_rows": "Rows in the memory",
    "synthesis_novel_cosine": "Largest cosine of novel and seen proxies",
    "synthesis_spread": "Spread of synthetic samples",
    "synthesis_critic_gap": "Critic's gap",
    "ccp_round": "Rounds of constraints",
    "ccp_reinitialized": "Re-initialisations",
    "ccp_covering_radius": "Covering radius",
}
"""Labels of recorded quantities; those of plugins go by their names."""
_BOOKKEEPING = {"ccp_anchor_epoch", "ccp_steps", "ccp_proximal_weight"}
_SCORES = ("val_", "test_", "best_test_")


@dataclass(frozen=True)
class _Track:
    """One quantity on one dataset.

    Attributes:
        events: whether it is 1 where something happened, and 0 elsewhere.
    """

    metric: Metric
    dataset: str
    lines: Sequence[Line]
    events: bool


def timelines(
    results: Results,
    *,
    metric: str = "map_at_r",
    quantities: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
) -> "Figure":
    """The learning curve, and below it a panel per quantity that changed while training; all by epoch.

    Lines are means over seeds, bands their range (lowest to highest seed); events are drawn as marks, a row per method,
    the taller the more of its seeds had one.

    Args:
        results: one or several studies, finished or not.
        metric: of the learning curve, as in `learning_curves`.
        quantities: columns of `Results.epochs`; by default all that syntheses and strategies recorded and that changed.
        methods: those to draw; by default all that recorded a quantity.

    Raises:
        DmlStudyError: no complete run recorded such a quantity, or it has no such column.
    """
    wanted = _quantities(results, quantities)
    cells = curve_cells(results, methods, "all")
    curves = {name: mean_curves(results, cells, describe(name), "select") for name in wanted}
    with_any = [cell for cell in cells if any(cell.key in found for found in curves.values())]
    if not with_any:
        raise DmlStudyError("no complete run of these methods recorded how a curriculum or another quantity changed")
    curve = find_metric(metric, set(results.epochs.columns), prefix="val_")
    labels = {line.label: index for index, line in enumerate(named_lines(with_any, _anything(curves)))}
    metrics = {curve: mean_curves(results, with_any, curve, "select")} | {
        Metric(name, QUANTITIES.get(name, describe(name).label), "", 1.0, 3, True): found
        for name, found in curves.items()
    }
    datasets = list(dict.fromkeys(cell.dataset for cell in with_any))
    tracks = [
        _Track(each, dataset, named_lines(with_any, found), _are_events(results, each.column))
        for each, found in metrics.items()
        for dataset in datasets
    ]
    ranges = {name: _ranges(results, name) for name in [curve.column, *wanted]}
    with style():
        protocol = protocol_line(results, [cell.key for cell in with_any])
        return _drawn(tracks, labels, ranges, len(datasets), protocol)


def _quantities(results: Results, names: Sequence[str] | None) -> list[str]:
    epochs = results.epochs
    if names is not None:
        return [find_metric(name, set(epochs.columns), prefix="").column for name in names]
    own = {*COLUMNS["epochs"], "study", *_BOOKKEEPING}
    found = [name for name in epochs.columns if name not in own and not name.startswith(_SCORES)]
    changing = [name for name in found if _changes(epochs, name)]
    if not changing:
        constant = f" ({', '.join(found)} did not change)" if found else ""
        raise DmlStudyError(f"no run recorded a curriculum, an event or another quantity by epoch{constant}")
    return sorted(changing, key=lambda name: list(QUANTITIES).index(name) if name in QUANTITIES else len(QUANTITIES))


def _changes(epochs: "pd.DataFrame", name: str) -> bool:
    """Within a run, and to more than one other value."""
    return bool((epochs.groupby(["study", "run_id"])[name].nunique() > 1).any())


def _are_events(results: Results, name: str) -> bool:
    values = results.epochs[name].dropna()
    return not name.startswith(_SCORES) and set(values.unique()) == {0.0, 1.0}


def _anything(curves: "Mapping[str, Mapping[CellKey, pd.DataFrame]]") -> "dict[CellKey, pd.DataFrame]":
    return {key: frame for found in curves.values() for key, frame in found.items()}


def _ranges(results: Results, name: str) -> "pd.DataFrame":
    """Lowest and highest value of every cell and epoch."""
    replicates = results.replicates
    complete = replicates.loc[replicates["status"] == "complete", ["study", "cell", "run_id"]].drop_duplicates()
    epochs = results.epochs.loc[results.epochs["phase"] == "select", ["study", "run_id", "epoch", name]]
    factor = describe(name).factor
    rows = complete.merge(epochs.assign(value=epochs[name].astype(float) * factor), on=["study", "run_id"])
    return rows.groupby(["study", "cell", "epoch"])["value"].agg(["min", "max"])


def _drawn(
    tracks: Sequence[_Track],
    labels: Mapping[str, int],
    ranges: "Mapping[str, pd.DataFrame]",
    datasets: int,
    protocol: str,
) -> "Figure":
    from matplotlib.lines import Line2D

    across = datasets if datasets > 1 else (1 if len(tracks) <= 4 else 3)
    width = COLUMN if across == 1 else max(PAGE, 2.2 * across)
    more = legend_height(list(labels), width)
    events = "; marks: share of seeds with the event, rows in the legend's order"
    foot = [
        "mean over seeds; band: lowest to highest seed" + (events if any(t.events for t in tracks) else ""),
        protocol,
    ]
    figure, body, subplots = panel_grid(len(tracks), height=1.3, foot=foot, across=across, width=width, more=more)
    for index, (ax, track) in enumerate(zip(subplots, tracks, strict=True)):
        draw = _draw_events if track.events else _draw_lines
        draw(ax, track, labels, ranges[track.metric.column])
        _label(ax, track, title=datasets > 1 and index < across, lowest=index + across >= len(tracks))
    _share_epochs(subplots)
    handles = [Line2D([], [], **line_style(index, points=99)) for index in labels.values()]
    add_legend(body, handles, list(labels), width)
    return figure


def _share_epochs(subplots: "Sequence[Axes]") -> None:
    low = min(ax.dataLim.x0 for ax in subplots)
    high = max(ax.dataLim.x1 for ax in subplots)
    for ax in subplots:
        ax.set_xlim(low - 0.02 * (high - low) - 0.1, high + 0.02 * (high - low) + 0.1)


def _draw_lines(ax: "Axes", track: _Track, labels: Mapping[str, int], ranges: "pd.DataFrame") -> None:
    steps = _in_steps(track)
    for line in track.lines:
        curve = line.curves.get(track.dataset)
        if curve is None:
            continue
        look = _look(labels, line) | ({"linewidth": _nested(labels, line)} if steps else {})
        epochs = curve["epoch"].to_numpy()
        ax.plot(epochs, curve["mean"].to_numpy(), drawstyle="steps-post" if steps else "default", **look)
        reach = ranges.loc[
            [(study, cell, epoch) for study, cell, epoch in curve[["study", "cell", "epoch"]].to_numpy()]
        ]
        low, high = (reach[key].to_numpy() for key in ("min", "max"))
        ax.fill_between(epochs, low, high, step="post" if steps else None, color=look["color"], alpha=0.12, linewidth=0)


def _look(labels: Mapping[str, int], line: Line) -> dict[str, Any]:
    return line_style(labels[line.label], points=99)


def _nested(labels: Mapping[str, int], line: Line) -> float:
    """Line width, points: later lines are thinner, so that equal steps of several methods are all seen."""
    return 2.6 - 1.8 * labels[line.label] / max(len(labels) - 1, 1)


def _in_steps(track: _Track) -> bool:
    """A quantity that stays where it is for most epochs of every line."""
    if track.metric.column.startswith(_SCORES):
        return False
    frames = [line.curves[track.dataset] for line in track.lines if track.dataset in line.curves]
    still = [np.mean(np.diff(frame["mean"].to_numpy()) == 0) for frame in frames if len(frame) > 1]
    return bool(still) and min(still) > 0.3


def _draw_events(ax: "Axes", track: _Track, labels: Mapping[str, int], ranges: "pd.DataFrame") -> None:
    drawn = [line for line in track.lines if track.dataset in line.curves]
    for row, line in enumerate(reversed(drawn)):
        curve = line.curves[track.dataset]
        happened = curve[curve["mean"] > 0]
        tops = row + 0.8 * happened["mean"].to_numpy()
        ax.axhline(row, color="0.85", linewidth=0.4, zorder=0)
        ax.vlines(happened["epoch"].to_numpy(), row, tops, color=_look(labels, line)["color"], linewidth=2.0)
    ax.set_ylim(-0.05, len(drawn))
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)


def _label(ax: "Axes", track: _Track, *, title: bool, lowest: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    if title:
        ax.set_title(wrapped(track.dataset, 30))
    ax.set_ylabel(wrapped(track.metric.title, 16))
    ax.set_xlabel("Epoch" if lowest else "")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    if not track.events:
        ax.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=2))
