"""Which parameters matter: a bar per parameter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.importance import FEWEST, Importance, importances
from analysis.labels import axis_labels
from analysis.loading import Results
from analysis.plots.panels import add_legend, legend_height, panel_grid, protocol_of
from analysis.plots.style import COLUMN, PAGE, PALETTE, style, wrapped
from analysis.tried import Tried, tried_settings
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABELS = ("PED-ANOVA; line: range when one setting is left out", "fANOVA (check)")


def importance(results: Results, *, metric: str = "map_at_r", methods: Sequence[str] | None = None) -> "Figure":
    """One panel per search, or per method with several settings: the share of every parameter.

    Args:
        results: one or several studies, finished or not; pruned and failed settings are left out.
        metric: as in `tried_settings`.
        methods: those to draw; all by default.

    Raises:
        DmlStudyError: nothing was searched or compared, or too few settings are complete.
    """
    found = tried_settings(results, metric=metric, methods=methods)
    known = [tried for tried in found if len(tried.complete) >= FEWEST]
    rows = [(tried, importances(tried)) for tried in known]
    if not rows:
        most = max(len(tried.complete) for tried in found)
        raise DmlStudyError(f"importance needs {FEWEST} complete settings of a method; there are {most} at most")
    return _drawn(results, rows)


def _drawn(results: Results, rows: Sequence[tuple[Tried, Sequence[Importance]]]) -> "Figure":
    width = COLUMN if len(rows) == 1 else PAGE
    runs = frozenset().union(*(tried.runs for tried, _ in rows))
    labels = axis_labels(list(dict.fromkeys(row.key for _, each in rows for row in each)))
    most = max(len(each) for _, each in rows)
    foot = [_note(rows), protocol_of(results, runs)]
    with style():
        figure, body, subplots = panel_grid(
            len(rows), height=0.62 + 0.2 * most, foot=foot, more=legend_height(_LABELS, width)
        )
        for ax, (tried, each) in zip(subplots, rows, strict=True):
            _draw(ax, tried, each, labels, slots=most)
        handles = dict(zip(*reversed(subplots[0].get_legend_handles_labels()), strict=True))
        add_legend(body, [handles[label] for label in _LABELS], _LABELS, width)
        return figure


def _note(rows: Sequence[tuple[Tried, Sequence[Importance]]]) -> str:
    sizes = sorted({len(tried.complete) for tried, _ in rows})
    counts = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    named = ", ".join(dict.fromkeys(tried.metric.label for tried, _ in rows))
    return f"share of each parameter in reaching the best {named}, from {counts} complete settings"


def _draw(ax: "Axes", tried: Tried, rows: Sequence[Importance], labels: dict[str, str], *, slots: int) -> None:
    places = range(len(rows))
    values = [100 * row.value for row in rows]
    below = [100 * (row.value - min(row.low, row.value)) for row in rows]
    above = [100 * (max(row.high, row.value) - row.value) for row in rows]
    thin = {"elinewidth": 0.8, "capsize": 2.0, "ecolor": "black"}
    ax.barh(places, values, height=0.6, color="#9ecae1", xerr=[below, above], error_kw=thin, label=_LABELS[0])
    fanova = [100 * row.fanova for row in rows]
    ax.plot(fanova, list(places), linestyle="", marker="D", markersize=3.2, color=PALETTE[1], label=_LABELS[1])
    ax.set_yticks(places, [wrapped(labels[row.key], 18) for row in rows])
    ax.set_ylim(slots - 0.5, -0.5)
    ax.set_xlim(-2, 102)
    ax.set_xlabel("Importance (%)")
    ax.set_title(wrapped(f"{tried.title} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{len(tried.complete)})", 30))
