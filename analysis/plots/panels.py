"""Panels side by side, and one legend below them."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from analysis.loading import Results
from analysis.plots.style import COLUMN, PAGE, new_figure, wrapped
from analysis.protocol import protocol_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_CHARACTERS = 19
"""Of a legend, per inch."""


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
    """Inches that `add_legend` needs."""
    columns = _columns(labels, width)
    lines = [wrapped(label, _characters(width)).count("\n") + 1 for label in labels]
    return 0.06 + 0.135 * max((sum(lines[start::columns]) for start in range(columns)), default=0) + 0.05


def add_legend(body: "SubFigure", handles: Sequence[Any], labels: Sequence[str], width: float) -> None:
    """Below all panels, as many columns as fit."""
    if labels:
        texts = [wrapped(label, _characters(width)) for label in labels]
        body.legend(list(handles), texts, loc="outside lower center", ncols=_columns(labels, width))


def _columns(labels: Sequence[str], width: float) -> int:
    longest = min(max(map(len, labels), default=1), _characters(width))
    return max(1, min(len(labels), int(width * _CHARACTERS / (longest + 8))))


def _characters(width: float) -> int:
    return int(width * _CHARACTERS) - 8


def protocol_of(results: Results, runs: "frozenset[tuple[str, str]]") -> str:
    """The protocol of some runs (study, run), for the foot of a figure."""
    import pandas as pd

    return " ".join(protocol_notes(results, pd.DataFrame(sorted(runs), columns=["study", "run_id"])))
