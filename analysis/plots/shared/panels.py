"""Panels side by side, and one legend below them."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from analysis.loading import Results
from analysis.plots.shared.charts import add_legend, legend_shape
from analysis.plots.shared.style import COLUMN, PAGE, new_figure
from analysis.protocol.notes import protocol_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


def panel_grid(
    count: int, *, height: float, foot: Sequence[str], across: int = 3, width: float | None = None, more: float = 0.0
) -> "tuple[Figure, SubFigure, list[Axes]]":
    """A figure with `count` panels: one column's width for one panel side by side, else a page's.

    Args:
        height: of a panel, inches.
        foot: as in `new_figure`.
        across: panels side by side, at most.
        more: height for what stands below the panels, inches.
    """
    columns = min(across, count)
    rows = ceil(count / columns)
    inches = width or (COLUMN if columns == 1 else PAGE)
    figure, body = new_figure(inches, height * rows + more, foot=foot)
    subplots = list(body.subplots(rows, columns, squeeze=False).ravel())
    for unused in subplots[count:]:
        unused.set_visible(False)
    return figure, body, subplots[:count]


def legend_height(labels: Sequence[str], width: float) -> float:
    """Inches that `legend_below` needs."""
    return 0.135 * legend_shape(labels, width)[1] + 0.1


def legend_below(body: "SubFigure", subplots: "Sequence[Axes]", labels: Sequence[str], width: float) -> None:
    """One legend below all panels, in the order of the labels."""
    add_legend(body, subplots, labels, legend_shape(labels, width)[0], width)


def protocol_of(results: Results, runs: "frozenset[tuple[str, str]]") -> str:
    """The protocol of some runs (study, run), for the foot of a figure."""
    import pandas as pd

    return " ".join(protocol_notes(results, pd.DataFrame(sorted(runs), columns=["study", "run_id"])))
