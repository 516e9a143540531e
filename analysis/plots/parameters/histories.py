"""Searches in the order of their settings: what each reached, and the best so far."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.loading import Results
from analysis.plots.parameters.tried import Tried, tried_settings
from analysis.plots.shared.panels import legend_below, legend_height, panel_grid, protocol_of
from analysis.plots.shared.style import COLUMN, GREY, PAGE, PALETTE, style, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    "complete": ("o", PALETTE[0], "setting, mean over its runs"),
    "pruned": ("x", GREY, "stopped early (no value)"),
    "failed": ("1", PALETTE[1], "failed (no value)"),
    "unfinished": ("|", GREY, "unfinished (no value)"),
}
_BEST, _CHOSEN = "best so far", "chosen"


def search_history(results: Results, *, metric: str = "map_at_r", methods: Sequence[str] | None = None) -> "Figure":
    """One panel per search: the mean validation metric by setting number, the best so far, settings without a value.

    Args:
        results: one or several studies, finished or not.
        metric: by default what the searches selected by, where that is MAP@R; of validation classes.
        methods: whose searches to draw; all by default.

    Raises:
        DmlStudyError: the results have no search, or the metric was not recorded.
    """
    found = tried_settings(results, metric=metric, methods=methods, origin="search")
    width = PAGE if len(found) > 1 else COLUMN
    shown = [state for state in _LOOKS if any(setting.state == state for tried in found for setting in tried.settings)]
    labels = [_LOOKS[state][2] for state in shown] + [_BEST, _CHOSEN]
    foot = ["settings of a search share their seeds and folds", protocol_of(results, _runs(found))]
    with style():
        figure, body, subplots = panel_grid(len(found), height=1.65, foot=foot, more=legend_height(labels, width))
        for ax, tried in zip(subplots, found, strict=True):
            _draw(ax, tried)
        for ax in subplots[::3]:
            ax.set_ylabel(wrapped(found[0].metric.title, 24))
        legend_below(body, subplots, labels, width)
        return figure


def _runs(found: Sequence[Tried]) -> frozenset[tuple[str, str]]:
    return frozenset().union(*(tried.runs for tried in found))


def _draw(ax: "Axes", tried: Tried) -> None:
    from matplotlib.ticker import MaxNLocator

    complete = tried.complete
    if complete:
        numbers = [setting.number for setting in complete]
        values = np.array([setting.value for setting in complete])
        best = np.maximum.accumulate(values) if tried.sign > 0 else np.minimum.accumulate(values)
        ax.step(numbers, best, where="post", color="black", linewidth=1.0, label=_BEST)
        ax.plot(
            numbers, values, linestyle="", marker="o", markersize=3.2, color=PALETTE[0], label=_LOOKS["complete"][2]
        )
    for state in ("pruned", "failed", "unfinished"):
        _mark_without_value(ax, [each.number for each in tried.settings if each.state == state], state)
    for setting in complete:
        if setting.number == tried.chosen:
            ring: dict[str, Any] = {"marker": "o", "markersize": 7, "markerfacecolor": "none", "color": PALETTE[1]}
            ax.plot([setting.number], [setting.value], linestyle="", label=_CHOSEN, **ring)
    ax.set_title(wrapped(tried.title, 32))
    ax.set_xlabel("Setting number")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    ax.set_xlim(-0.5, max((each.number for each in tried.settings), default=0) + 0.5)
    ax.margins(y=0.15)


def _mark_without_value(ax: "Axes", numbers: Sequence[int], state: str) -> None:
    """At the lower edge, since they have no height."""
    marker, color, label = _LOOKS[state]
    if numbers:
        look: dict[str, Any] = {"marker": marker, "markersize": 4.0, "color": color, "linestyle": "", "clip_on": False}
        ax.plot(numbers, [0.03] * len(numbers), transform=ax.get_xaxis_transform(), label=label, **look)
