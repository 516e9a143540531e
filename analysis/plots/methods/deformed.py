"""A metric against how strongly test images are deformed."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.cells import CellKey, Sample, cell_samples
from analysis.loading import Results
from analysis.metrics import find_metric
from analysis.plots.shared.charts import Along, Look, Panel, Series, Spread, draw_charts, series_of
from analysis.plots.shared.selection import Entry, Settings, entries, settled_cells
from analysis.protocol.notes import protocol_line
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STRENGTHS = {
    "cutout": "side of the hole, in sides of the image",
    "pixel_dropout": "share of pixels",
    "zoom_in": "factor beyond 1",
    "zoom_out": "factor beyond 1",
    "rotation": "degrees",
    "shear": "degrees",
    "noise": "standard deviation, black to white 1",
    "blur": "standard deviation in pixels",
}
"""What the strength of a deformation is (`protocol.deformations`)."""

ByStrength = Mapping[float, Mapping[CellKey, Sample]]


def robustness(
    results: Results,
    *,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    settings: Settings = "chosen",
    spread: Spread = "interval",
) -> "Figure":
    """One panel per deformation (and dataset), one line per method: the metric by strength, from images as they are.

    Args:
        results: one or several studies, whose protocol had `deformations`.
        metric: "map_at_r" or "recall_at_1".
        methods: those to draw; all by default.
        settings: as in `learning_curves`.
        spread: 95 % t-interval of the mean, or one standard deviation over seeds.

    Raises:
        DmlStudyError: the metric was not measured on deformed images.
    """
    columns = set(results.replicates.columns)
    found = find_metric(metric, columns)
    strengths = _strengths(found.column, columns)
    if not strengths:
        raise DmlStudyError(f"'{found.column}' was not measured on deformed images; see `protocol.deformations`")
    cells = settled_cells(results, methods, settings)
    measured = {
        name: {at: cell_samples(results.replicates, column, factor=found.factor) for at, column in by.items()}
        for name, by in strengths.items()
    }
    panels = _panels(entries(cells), measured, spread)
    if not panels:
        raise DmlStudyError(f"no run is complete with '{found.column}' on deformed images")
    return draw_charts(
        panels,
        along=Along("strength"),
        y_label=found.title,
        look=Look(spread, "bar", notes=["strength 0: images as they are"]),
        protocol=protocol_line(results, [cell.key for cell in cells]),
    )


def _strengths(column: str, columns: Collection[str]) -> dict[str, dict[float, str]]:
    """By deformation the columns of its strengths, in ascending order; 0 is the metric without any."""
    found: dict[str, dict[float, str]] = {}
    for name in _STRENGTHS:
        pattern = re.compile(rf"{re.escape(column)}_{name}_([0-9][0-9.e+-]*)")
        matches = [match for match in map(pattern.fullmatch, columns) if match]
        if matches:
            known = {0.0: column} | {float(match[1]): match[0] for match in matches}
            found[name] = dict(sorted(known.items()))
    return found


def _panels(rows: Sequence[Entry], measured: Mapping[str, ByStrength], spread: Spread) -> list[Panel]:
    datasets = list(dict.fromkeys(dataset for row in rows for dataset in row.cells))
    panels = []
    for dataset in datasets:
        keys = {row.label: row.cells[dataset].key for row in rows if dataset in row.cells}
        for name, by_strength in measured.items():
            lines = [_line(label, key, by_strength, spread) for label, key in keys.items()]
            known = [line for line in lines if len(line.x) > 1]
            title = ", ".join([*([dataset] if len(datasets) > 1 else []), name.replace("_", " ")])
            if known:
                along = Along(_STRENGTHS[name], values=[int(at) if at == int(at) else at for at in by_strength])
                panels.append(Panel(title, known, along=along))
    return panels


def _line(label: str, key: CellKey, by_strength: ByStrength, spread: Spread) -> Series:
    known = {at: samples[key] for at, samples in by_strength.items() if key in samples}
    return series_of(label, list(known), list(known.values()), spread)
