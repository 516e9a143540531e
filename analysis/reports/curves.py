"""Every cell's curves: small drawings by epoch, one line per replicate, written by hand so that hundreds stay light."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.reports.markup import escaped

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
WIDTH, HEIGHT, MARGIN = 240, 72, 36
_MOST = WIDTH // 2
"""Points of a line; of more, each bin of neighbours keeps its least and its greatest."""
COLORS = 7
_OUTSIDE = 4.0
"""Widths of the middle nine tenths that the scale goes beyond them; what is farther out is cut."""


@dataclass(frozen=True)
class Line:
    """One replicate.

    Attributes:
        color: index of its colour.
        x, y: epochs, in ascending order, and values; not finite where nothing was measured.
        selected: the epoch that was selected.
    """

    color: int
    x: Floats
    y: Floats
    selected: int | None = None


@dataclass(frozen=True)
class Scale:
    """What the height of a drawing stands for; `cut` where some values lie outside."""

    low: float
    high: float
    cut: bool = False

    def at(self, values: Floats) -> NDArray[np.int64]:
        """Height on the drawing, counted from its top."""
        span = self.high - self.low
        share = (np.clip(values, self.low, self.high) - self.low) / span if span > 0 else np.full(len(values), 0.5)
        return np.rint(HEIGHT * (1 - share)).astype(np.int64)


def scale_of(lines: Sequence[Line]) -> Scale | None:
    """One scale for lines that are compared; a run that diverged does not flatten all others. None without values."""
    values = np.concatenate([line.y for line in lines]) if lines else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    bottom, top = np.quantile(values, [0.05, 0.95])
    reach = _OUTSIDE * (top - bottom)
    inner = (max(low, float(bottom - reach)), min(high, float(top + reach))) if reach > 0 else (low, high)
    return Scale(*inner, cut=inner != (low, high))


def drawing(lines: Sequence[Line], scale: Scale, last: float, *, description: str, labels: tuple[str, str]) -> str:
    """The picture: lines, the ends of the scale on the left, the last epoch below.

    Args:
        last: epoch at its right edge.
        labels: of the lower and the upper end of the scale.
    """
    low, high = map(escaped, labels)
    parts = [part for line in lines for part in _line(line, scale, last)]
    axes = (
        f'<path class="axes" d="M0 0v{HEIGHT}h{WIDTH}"/><text x="-4" y="6">{high}</text>'
        f'<text x="-4" y="{HEIGHT}">{low}</text><text x="{WIDTH}" y="{HEIGHT + 12}">epoch {last:g}</text>'
    )
    box = f"{-MARGIN} -4 {WIDTH + MARGIN + 4} {HEIGHT + 18}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escaped(description)}">{axes}{"".join(parts)}</svg>'


def _line(line: Line, scale: Scale, last: float) -> Iterator[str]:
    known = np.isfinite(line.y)
    x, y = line.x[known], line.y[known]
    if not len(x):
        return
    chosen = _thinned(y)
    places = np.rint(WIDTH * x / max(last, 1.0)).astype(np.int64)
    heights = scale.at(y)
    breaks = _breaks(x)
    starts = np.zeros(len(x), dtype=bool)
    starts[[0, *breaks]] = True
    chosen = np.union1d(chosen, [index for start in breaks for index in (start - 1, start)]).astype(int)
    yield f'<path class="s{line.color % COLORS}" d="{_path(places[chosen], heights[chosen], starts[chosen])}"/>'
    for index in np.flatnonzero(x == line.selected):
        yield f'<circle class="s{line.color % COLORS}" cx="{places[index]}" cy="{heights[index]}" r="3"/>'


def _breaks(x: Floats) -> list[int]:
    """Where a line begins anew, since measurements between were not finite or never made."""
    gaps = np.diff(x)
    return [int(index) + 1 for index in np.flatnonzero(gaps > 1.5 * np.median(gaps))] if len(gaps) > 1 else []


def _thinned(y: Floats) -> NDArray[np.int64]:
    """Indices of the points that are drawn."""
    if len(y) <= _MOST:
        return np.arange(len(y))
    bins = np.array_split(np.arange(len(y)), _MOST // 2)
    ends = [index for each in bins for index in (each[np.argmin(y[each])], each[np.argmax(y[each])])]
    return np.unique(np.array([0, *ends, len(y) - 1]))


def _path(x: NDArray[np.int64], y: NDArray[np.int64], starts: NDArray[np.bool_]) -> str:
    """Whole numbers, each point relative to the one before: four characters or so for each."""
    text, across, down = [], 0, 0
    for place, height, start in zip(x.tolist(), y.tolist(), starts.tolist(), strict=True):
        if start:
            text.append(f"M{place} {height}")
            text.append("h0")  # a point alone is drawn as a dot by its round cap
        else:
            text.append(f"l{place - across}{'' if height < down else ' '}{height - down}")
        across, down = place, height
    return "".join(text)


def extent(lines: Sequence[Line]) -> tuple[float, float]:
    """Least and greatest finite value; of lines that have any."""
    found = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    return float(found.min()), float(found.max())


def number(value: float, decimals: int) -> str:
    """As it is shown, in few characters."""
    text = f"{value:.{decimals}f}" if 10 ** -(decimals + 1) <= abs(value) < 1e5 or not value else f"{value:.2g}"
    return text.replace("-", "−")


def lines_by_run(epochs: "pd.DataFrame", column: str) -> "dict[tuple[str, str], tuple[Floats, Floats]]":
    """(study, run) -> epochs and values, for runs that have any finite value of the column."""
    if column not in epochs.columns:
        return {}
    rows = epochs.loc[epochs["phase"] == "select", ["study", "run_id", "epoch", column]]
    rows = rows[np.isfinite(rows[column].astype(float))].sort_values(["study", "run_id", "epoch"], kind="stable")
    return {
        (str(study), str(run)): (each["epoch"].to_numpy(dtype=float), each[column].to_numpy(dtype=float))
        for (study, run), each in rows.groupby(["study", "run_id"], sort=False)
    }
