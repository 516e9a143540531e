"""Curricula and events by epoch, under the learning curve: what a synthesis or a strategy did when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.loading import Results
from analysis.metrics import Metric, describe, find_metric
from analysis.plots.shared.curve_lines import curve_values
from analysis.plots.shared.panels import legend_below, legend_height, panel_grid
from analysis.plots.shared.selection import Entry, entries, settled_cells
from analysis.plots.shared.style import COLUMN, PAGE, line_style, style, wrapped
from analysis.protocol.notes import protocol_line
from trainables.errors import DmlStudyError
from trainables.ledger.schema import COLUMNS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.cells import CellKey

QUANTITIES = {
    "synthesis_classes": "Classes in the loss",
    "synthesis_rows": "Rows in the batch",
    "synthesis_memory_rows": "Rows in the memory",
    "synthesis_novel_cosine": "Largest cosine of novel and seen proxies",
    "synthesis_spread": "Spread of synthetic samples",
    "synthesis_critic_gap": "Critic's gap",
    "ccp_round": "Rounds of constraints",
    "ccp_reinitialized": "Reinitialised",
    "ccp_covering_radius": "Covering radius",
    "ccp_class_distance": "Distance to the nearest class",
}
"""Labels of recorded quantities; those of plugins go by their names."""
_BOOKKEEPING = {"ccp_anchor_epoch", "ccp_steps", "ccp_proximal_weight"}
_SCORES = ("val_", "test_", "best_test_")


@dataclass(frozen=True)
class _Line:
    """Values of one cell by epoch.

    Attributes:
        frame: index epoch; columns mean, min, max over seeds.
    """

    label: str
    frame: "pd.DataFrame"


@dataclass(frozen=True)
class _Track:
    """One quantity on one dataset.

    Attributes:
        events: whether it is 1 where something happened, and 0 elsewhere.
    """

    metric: Metric
    dataset: str
    lines: Sequence[_Line]
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
    metrics = [_metric(name) for name in _quantities(results, quantities)]
    cells = settled_cells(results, methods, "all")
    values = {each: curve_values(results, cells, each, "select", "epoch") for each in metrics}
    cells = [cell for cell in cells if any(cell.key in found for found in values.values())]
    if not cells:
        raise DmlStudyError("no complete run of these methods recorded how a curriculum or another quantity changed")
    curve = find_metric(metric, set(results.epochs.columns), prefix="val_")
    values = {curve: curve_values(results, cells, curve, "select", "epoch")} | values
    groups = entries(cells)
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    tracks = [
        _Track(each, dataset, _lines(groups, dataset, found), each != curve and _are_events(results, each.column))
        for each, found in values.items()
        for dataset in datasets
    ]
    labels = {entry.label: index for index, entry in enumerate(groups)}
    with style():
        return _drawn(tracks, labels, len(datasets), protocol_line(results, [cell.key for cell in cells]))


def _metric(name: str) -> Metric:
    return Metric(name, QUANTITIES[name], "", 1.0, 3, True) if name in QUANTITIES else describe(name)


def _lines(groups: Sequence[Entry], dataset: str, values: "Mapping[CellKey, pd.DataFrame]") -> list[_Line]:
    here = [(group.label, group.cells[dataset].key) for group in groups if dataset in group.cells]
    return [
        _Line(label, values[key].groupby("epoch")["value"].agg(["mean", "min", "max"]))
        for label, key in here
        if key in values
    ]


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
    return set(values.unique()) == {0.0, 1.0}


def _drawn(tracks: Sequence[_Track], labels: Mapping[str, int], datasets: int, protocol: str) -> "Figure":
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
        draw(ax, track, labels)
        _label(ax, track, title=datasets > 1 and index < across, lowest=index + across >= len(tracks))
    _share_epochs(subplots)
    for label, index in labels.items():
        subplots[0].plot([], [], label=label, **line_style(index, points=99))
    legend_below(body, subplots, list(labels), width)
    return figure


def _share_epochs(subplots: "Sequence[Axes]") -> None:
    low = min(ax.dataLim.x0 for ax in subplots)
    high = max(ax.dataLim.x1 for ax in subplots)
    for ax in subplots:
        ax.set_xlim(low - 0.02 * (high - low) - 0.1, high + 0.02 * (high - low) + 0.1)


def _draw_lines(ax: "Axes", track: _Track, labels: Mapping[str, int]) -> None:
    steps = _in_steps(track)
    for line in track.lines:
        look = line_style(labels[line.label], points=99)
        if steps:
            look["linewidth"] = _nested(labels, line)
        frame, epochs = line.frame, line.frame.index.to_numpy()
        ax.plot(epochs, frame["mean"].to_numpy(), drawstyle="steps-post" if steps else "default", **look)
        band: dict[str, Any] = {
            "color": look["color"],
            "alpha": 0.12,
            "linewidth": 0,
            "step": "post" if steps else None,
        }
        ax.fill_between(epochs, frame["min"].to_numpy(), frame["max"].to_numpy(), **band)


def _nested(labels: Mapping[str, int], line: _Line) -> float:
    """Line width, points: later lines are thinner, so that equal steps of several methods are all seen."""
    return 2.6 - 1.8 * labels[line.label] / max(len(labels) - 1, 1)


def _in_steps(track: _Track) -> bool:
    """A quantity that stays where it is for many epochs of every line."""
    if track.metric.column.startswith(_SCORES):
        return False
    still = [np.mean(np.diff(line.frame["mean"].to_numpy()) == 0) for line in track.lines if len(line.frame) > 1]
    return bool(still) and min(still) > 0.3


def _draw_events(ax: "Axes", track: _Track, labels: Mapping[str, int]) -> None:
    for row, line in enumerate(reversed(track.lines)):
        share = line.frame["mean"][line.frame["mean"] > 0]
        color = line_style(labels[line.label], points=99)["color"]
        ax.axhline(row, color="0.85", linewidth=0.4, zorder=0)
        ax.vlines(share.index.to_numpy(), row, row + 0.8 * share.to_numpy(), color=color, linewidth=2.0)
    ax.set_ylim(-0.05, len(track.lines))
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
