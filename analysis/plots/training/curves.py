"""Learning curves: a metric by epoch, steps or minutes, mean over seeds with its band."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from analysis.loading import Results
from analysis.metrics import find_metric
from analysis.plots.shared.charts import Along, Look, Panel, Reference, Series, Spread, draw_charts
from analysis.plots.shared.curve_lines import By, curve_series, curve_values, recorded_metrics, references
from analysis.plots.shared.selection import entries, settled_cells
from analysis.protocol.notes import protocol_line
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CLOCK = {"Hours": 3600.0, "Minutes": 60.0, "Seconds": 1.0}
_FEW = 3.0
"""A unit of time is used from so many of it on."""


def learning_curves(
    results: Results,
    *,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    settings: Literal["chosen", "all"] = "chosen",
    band: Spread = "interval",
    phase: Literal["select", "refit"] = "select",
    by: By = "epoch",
) -> "Figure":
    """One panel per dataset, one line per method: mean over the seeds of complete runs, by epoch.

    Args:
        results: one or several studies, finished or not.
        metric: "map_at_r" means the validation classes'; or any column of `Results.epochs`: "train_loss",
            "test_map_at_r" where it was recorded.
        methods: those to draw; all by default.
        settings: "chosen" draws per method the setting with the best mean validation metric (all of them where nothing
            was validated); "all" draws every cell.
        band: 95 % t-interval of the mean, or one standard deviation; none where there is one seed.
        phase: "refit" for the second training on all training classes.
        by: "steps" of the optimiser or "time" on the clock (training and evaluation, in seconds, minutes or hours) from
            the start of the phase, instead of epochs. Each epoch's mean stands at the mean time of its seeds.

    Raises:
        DmlStudyError: no complete run recorded the metric by epoch.
    """
    found = find_metric(metric, set(results.epochs.columns), prefix="val_")
    cells = settled_cells(results, methods, settings)
    values = curve_values(results, cells, found, phase, by)
    if not values:
        recorded = ", ".join(recorded_metrics(results.epochs)) or "nothing"
        raise DmlStudyError(
            f"no seed is complete with '{found.column}' by epoch in phase '{phase}'; recorded by some runs: {recorded}"
        )
    x_label, unit = _unit(by, max(float(rows["x"].max()) for rows in values.values()))
    lines: dict[str, list[Series]] = {}
    for entry in entries(cells):
        for dataset, cell in entry.cells.items():
            if cell.key in values:
                lines.setdefault(dataset, []).append(curve_series(entry.label, values[cell.key], band, unit=unit))
    return draw_charts(
        _panels(lines, references(results, cells, found)),
        along=Along(x_label, whole_numbers=by != "time"),
        y_label=found.title,
        look=Look(spread=band),
        protocol=protocol_line(results, [cell.key for cell in cells]),
    )


def _unit(by: By, longest: float) -> tuple[str, float]:
    """Label of the axis, and what its numbers are divided by."""
    if by != "time":
        return {"epoch": "Epoch", "steps": "Optimizer steps"}[by], 1.0
    name = next((name for name, seconds in _CLOCK.items() if longest >= _FEW * seconds), "Seconds")
    return f"{name} of training and evaluation", _CLOCK[name]


def _panels(lines: Mapping[str, Sequence[Series]], untrained: Mapping[str, Reference]) -> list[Panel]:
    return [
        Panel(dataset, series, [untrained[dataset]] if dataset in untrained else [])
        for dataset, series in lines.items()
    ]
