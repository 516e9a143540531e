"""The critical-difference diagram of Demšar (2006): mean ranks over datasets, and what a test does not tell apart."""

from collections.abc import Sequence
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from analysis.cells import cell_samples
from analysis.loading import Results
from analysis.metrics import find_metric
from analysis.plots.shared.names import cell_labels
from analysis.plots.shared.selection import settled_cells
from analysis.plots.shared.style import COLUMN, PAGE, new_figure, style, wrapped
from analysis.protocol.notes import protocol_line
from analysis.ranks import RankTest, rank_test

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABEL_SIZE = 6.5
_CHARACTER, _LINE, _BAR = 0.056, 0.105, 0.09
"""Inches, of labels and of the distance between bars."""
_AXIS, _FIRST_BAR = 0.47, 0.62
"""Inches from the top."""


def critical_difference_diagram(
    results: Results, *, metric: str = "map_at_r", methods: Sequence[str] | None = None
) -> "Figure":
    """Mean ranks of methods over datasets; bars join groups whose ranks differ by less than Nemenyi's difference.

    Of a method with several settings the one that validation chose is ranked, or all where nothing was validated.

    Args:
        results: one or several studies.
        metric: as in `comparison_table`.
        methods: those to rank; all by default.

    Raises:
        DmlStudyError: fewer than six datasets or three methods, or a method is missing on a dataset.

    Source: Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006.
    """
    found = find_metric(metric, set(results.replicates.columns))
    cells = settled_cells(results, methods, "chosen")
    labels = cell_labels(cells)
    samples = cell_samples(results.replicates, found.column, factor=found.factor)
    scores: dict[str, dict[str, float]] = {label: {} for label in labels.values()}
    for cell in cells:
        if cell.key in samples:
            scores[labels[cell.key]][cell.dataset] = samples[cell.key].mean
    test = rank_test(_frame(scores, [cell.dataset for cell in cells]), higher_is_better=found.higher_is_better)
    with style():
        return _draw(test, found.title, protocol_line(results, [cell.key for cell in cells]))


def _frame(scores: dict[str, dict[str, float]], datasets: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(scores, index=list(dict.fromkeys(datasets)))


def _draw(test: RankTest, title: str, protocol: str) -> "Figure":
    bars = test.alike
    names = [str(name) for name in test.ranks.index]
    longest = max(map(len, names)) + len(" (10.00)")
    width = COLUMN if len(names) <= 8 and longest <= 20 else PAGE
    lowest, highest = floor(test.ranks.min()), ceil(test.ranks.max())
    scale = _Scale(max(highest, lowest + 1), lowest, width, min(longest, 40))
    labels = [wrapped(f"{name} ({rank:.2f})", scale.characters) for name, rank in zip(names, test.ranks, strict=True)]
    row = 0.06 + _LINE * max(label.count("\n") + 1 for label in labels)
    top = _FIRST_BAR + _BAR * len(bars) + 0.05
    height = top + row * ceil(len(names) / 2)
    figure, body = new_figure(width, height, foot=[_note(test, title), protocol])
    ax = body.subplots()
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    _draw_axis(ax, scale, test)
    for index, group in enumerate(bars):
        y, ends = _FIRST_BAR + _BAR * index, (float(test.ranks[group[-1]]), float(test.ranks[group[0]]))
        places = [scale.at(ends[0]) - 0.02, scale.at(ends[1]) + 0.02]
        ax.plot(places, [y, y], color="black", linewidth=2.2, solid_capstyle="butt")
    _draw_methods(ax, scale, list(zip(labels, test.ranks.tolist(), strict=True)), top=top, row=row)
    return figure


class _Scale:
    """Ranks as inches; the best rank is at the right, labels have their room at both sides."""

    def __init__(self, worst: int, best: int, width: float, characters: int) -> None:
        self.worst, self.best = worst, best
        self.margin = min(_CHARACTER * characters + 0.15, 0.36 * width)
        self.characters = int((self.margin - 0.1) / _CHARACTER)
        self.width = width

    def at(self, rank: float) -> float:
        return self.margin + (self.width - 2 * self.margin) * (self.worst - rank) / (self.worst - self.best)

    def inches(self, ranks: float) -> float:
        return self.at(0) - self.at(ranks)


def _draw_axis(ax: "Axes", scale: _Scale, test: RankTest) -> None:
    y = _AXIS
    ax.plot([scale.at(scale.worst), scale.at(scale.best)], [y, y], color="black", linewidth=0.8)
    step = max(1, (scale.worst - scale.best) // 8)
    for rank in range(scale.best, scale.worst + 1, step):
        ax.plot([scale.at(rank)] * 2, [y, y - 0.05], color="black", linewidth=0.8)
        ax.text(scale.at(rank), y - 0.07, str(rank), ha="center", va="bottom", fontsize=_LABEL_SIZE)
    reach = scale.inches(test.critical_difference)
    start, end = scale.at(scale.worst), scale.at(scale.worst) + reach
    ax.plot([start, end], [0.2, 0.2], color="black", linewidth=0.8)
    for place in (start, end):
        ax.plot([place] * 2, [0.17, 0.23], color="black", linewidth=0.8)
    text = f"critical difference {test.critical_difference:.2f}"
    ax.text(start, 0.14, text, ha="left", va="bottom", fontsize=_LABEL_SIZE)


def _draw_methods(ax: "Axes", scale: _Scale, methods: Sequence[tuple[str, float]], *, top: float, row: float) -> None:
    """The better half goes down from the axis to the right side, the others to the left."""
    half = ceil(len(methods) / 2)
    for index, (label, rank) in enumerate(methods):
        better = index < half
        y = top + row * ((index if better else len(methods) - 1 - index) + 0.5)
        side = scale.width - scale.margin + 0.06 if better else scale.margin - 0.06
        ax.plot([scale.at(rank)] * 2 + [side], [_AXIS, y, y], color="0.3", linewidth=0.6)
        look: dict[str, Any] = {
            "ha": "left" if better else "right",
            "va": "center",
            "fontsize": _LABEL_SIZE,
            "linespacing": 0.95,
        }
        ax.text(side + (0.04 if better else -0.04), y, label, **look)


def _note(test: RankTest, title: str) -> str:
    p_value = "< 0.001" if test.p_value < 0.001 else f"= {test.p_value:.3f}"
    return (
        f"mean ranks in {title} over {test.datasets} datasets, 1 is best; bars join what Nemenyi's test at "
        f"{test.alpha:g} does not tell apart; Friedman's test that all are alike: p {p_value}"
    )
