"""Which parameters matter: a bar per parameter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.labels import axis_labels
from analysis.loading import Results
from analysis.metrics import describe
from analysis.plots.shared.panels import legend_below, legend_height, panel_grid, protocol_of
from analysis.plots.shared.style import COLUMN, PAGE, PALETTE, style, wrapped
from analysis.statistics.importance import importance
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABELS = ("PED-ANOVA", "fANOVA, as a check")


@dataclass(frozen=True)
class _Panel:
    study: str
    method: str
    dataset: str
    title: str
    rows: "pd.DataFrame"


def importance_bars(results: Results, *, metric: str = "map_at_r", methods: Sequence[str] | None = None) -> "Figure":
    """One panel per search, or per method with several settings: each parameter's share, by two evaluators.

    Args:
        results: one or several studies, finished or not; see `analysis.importance` for what is left out.
        metric: of compared settings; searches have their own.
        methods: those to draw; all by default.

    Raises:
        DmlStudyError: no method was tried with enough settings.
    """
    panels = _panels(importance(results, metric=metric), methods)
    if not panels:
        raise DmlStudyError(f"there is no importance of parameters for {', '.join(methods or ())}")
    labels = axis_labels(list(dict.fromkeys(key for panel in panels for key in panel.rows["parameter"])))
    most = max(len(panel.rows) for panel in panels)
    lines = max(_title(panel).count("\n") for panel in panels)
    width = COLUMN if len(panels) == 1 else PAGE
    foot = [_note(panels), protocol_of(results, _runs(results, panels))]
    with style():
        figure, body, subplots = panel_grid(
            len(panels), height=0.62 + 0.24 * most + 0.14 * lines, foot=foot, more=legend_height(_LABELS, width)
        )
        for ax, panel in zip(subplots, panels, strict=True):
            _draw(ax, panel, labels, slots=most)
        legend_below(body, subplots, _LABELS, width)
        return figure


def _panels(frame: "pd.DataFrame", methods: Sequence[str] | None) -> list[_Panel]:
    wanted = frame if methods is None else frame[frame["method"].isin(methods)]
    told = [key for key in ("study", "dataset", "kind") if wanted[key].nunique() > 1]
    found = []
    for _, rows in wanted.groupby(["study", "method", "dataset", "kind"], sort=False):
        study, method, dataset = (str(rows[key].iloc[0]) for key in ("study", "method", "dataset"))
        size = f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{rows['settings'].iloc[0]}"
        title = ", ".join([method, *(str(rows[key].iloc[0]) for key in told), size])
        found.append(_Panel(study, method, dataset, title, rows))
    return found


def _runs(results: Results, panels: Sequence[_Panel]) -> frozenset[tuple[str, str]]:
    wanted = {(panel.study, panel.method) for panel in panels}
    rows = results.replicates[["study", "method", "run_id"]].itertuples(index=False)
    return frozenset((study, run) for study, method, run in rows if (study, method) in wanted)


def _note(panels: Sequence[_Panel]) -> str:
    named = ", ".join(dict.fromkeys(describe(name).label for panel in panels for name in panel.rows["metric"]))
    return f"share of a parameter in {named}; n: complete settings. Where the two disagree, the settings do not tell"


def _draw(ax: "Axes", panel: _Panel, labels: dict[str, str], *, slots: int) -> None:
    rows = panel.rows
    places = range(len(rows))
    looks: dict[str, dict[str, Any]] = {
        "ped_anova": {"color": PALETTE[0]},
        "fanova": {"color": "white", "edgecolor": PALETTE[1], "hatch": "////"},
    }
    for shift, label, (column, look) in zip((-0.19, 0.19), _LABELS, looks.items(), strict=True):
        ax.barh([place + shift for place in places], 100 * rows[column], height=0.34, label=label, **look)
    ax.set_yticks(places, [wrapped(labels[key], 18) for key in rows["parameter"]])
    ax.set_ylim(slots - 0.5, -0.5)
    ax.set_xlim(0, 100)
    ax.set_xlabel("Importance (%)")
    ax.set_title(_title(panel))


def _title(panel: _Panel) -> str:
    return wrapped(panel.title, 30)
