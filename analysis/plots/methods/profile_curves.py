"""Performance profiles: how often a method comes how near the best one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.cells import Floats, PlannedCell, Sample, cell_samples
from analysis.labels import enumeration
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from analysis.plots.shared.names import cell_labels
from analysis.plots.shared.panels import legend_below, legend_height, panel_grid
from analysis.plots.shared.selection import settled_cells
from analysis.plots.shared.style import COLUMN, PAGE, line_style, style, wrapped
from analysis.protocol.notes import protocol_line
from analysis.ranks.profiles import RESAMPLES, Profile, profiles
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 201
_BANDS = 8
"""Methods up to which bands are drawn: more of them are a fog."""


def performance_profiles(
    results: Results, *, metric: str = "map_at_r", methods: Sequence[str] | None = None
) -> "Figure":
    """A line per method: the share of its runs, averaged over datasets, that are at most so far behind the best mean.

    Of a method with several settings the one that validation chose is drawn, or all where nothing was validated. What
    is missing on a dataset is left out, and named below the figure.

    Args:
        results: one or several studies, finished or not; a dataset counts once, whichever study has it.
        metric: as in `comparison_table`.
        methods: those to draw; all by default.

    Raises:
        DmlStudyError: fewer than two methods have the metric on all datasets.
    """
    found = find_metric(metric, set(results.replicates.columns))
    cells = settled_cells(results, methods, "chosen")
    samples = _samples(results, cells, found)
    whole, lacking = _on_every_dataset(samples)
    if len(whole) < 2:
        raise DmlStudyError(
            f"a performance profile needs two methods with '{found.column}' on every dataset; there are {len(whole)}"
        )
    kept = {dataset: {method: each[method] for method in whole} for dataset, each in samples.items()}
    distances = _distances(kept)
    resamples = RESAMPLES if len(whole) <= _BANDS else 0
    curves = profiles(kept, distances, higher_is_better=found.higher_is_better, resamples=resamples)
    width = COLUMN if len(whole) <= 10 else PAGE
    labels = cell_labels(cells)
    with style():
        protocol = protocol_line(results, [cell.key for cell in cells if labels[cell.key] in whole])
        foot = [_note(kept, lacking), protocol]
        figure, body, subplots = panel_grid(1, height=2.2, foot=foot, width=width, more=legend_height(whole, width))
        _draw(subplots[0], curves, distances, found, len(kept))
        legend_below(body, subplots, whole, width)
        return figure


def _samples(results: Results, cells: Sequence[PlannedCell], metric: Metric) -> dict[str, dict[str, Sample]]:
    """By dataset and label."""
    known = cell_samples(results.replicates, metric.column, factor=metric.factor)
    labels = cell_labels(cells)
    samples: dict[str, dict[str, Sample]] = {}
    for cell in cells:
        if cell.key in known:
            samples.setdefault(cell.dataset, {})[labels[cell.key]] = known[cell.key]
    return samples


def _on_every_dataset(samples: Mapping[str, Mapping[str, Sample]]) -> tuple[list[str], list[str]]:
    """Labels that every dataset has, and the others."""
    labels = dict.fromkeys(label for each in samples.values() for label in each)
    whole = [label for label in labels if all(label in each for each in samples.values())]
    return whole, [label for label in labels if label not in whole]


def _distances(samples: Mapping[str, Mapping[str, Sample]]) -> Floats:
    """From nothing to the farthest run."""
    reach = [np.ptp(np.concatenate([sample.values for sample in each.values()])) for each in samples.values()]
    return np.linspace(0.0, max(float(max(reach)), 1e-6), _POINTS)


def _note(samples: Mapping[str, Mapping[str, Sample]], lacking: Sequence[str]) -> str:
    datasets = f"{len(samples)} dataset" + ("s" if len(samples) > 1 else "")
    sizes = sorted({sample.n for each in samples.values() for sample in each.values()})
    runs = f"{sizes[0]}–{sizes[-1]}" if sizes[0] < sizes[-1] else f"{sizes[0]}"
    band = f"; band: 95 % bootstrap interval over runs within datasets ({RESAMPLES} resamples)"
    left_out = f"; not on every dataset: {enumeration(lacking)}" if lacking else ""
    banded = sizes[-1] > 1 and max(map(len, samples.values())) <= _BANDS
    return f"{datasets}, {runs} runs each" + (band if banded else "") + left_out


def _draw(ax: "Axes", curves: Mapping[str, Profile], distances: Floats, metric: Metric, datasets: int) -> None:
    for index, (label, curve) in enumerate(curves.items()):
        look: dict[str, Any] = line_style(index, points=_POINTS)
        ax.step(distances, 100 * curve.share, where="post", label=label, **look)
        band = {"color": look["color"], "alpha": 0.13, "linewidth": 0}
        ax.fill_between(distances, 100 * curve.low, 100 * curve.high, step="post", **band)
    unit = {"%": " (points)", "": ""}.get(metric.unit, f" ({metric.unit})")
    ax.set_xlabel(wrapped(f"Distance to the best mean {metric.label}{unit}", 60))
    ax.set_ylabel(
        "Runs within the distance (%)" if datasets == 1 else "Runs within the distance,\nmean of datasets (%)"
    )
    ax.set_ylim(-2, 102)
    ax.margins(x=0.02)
