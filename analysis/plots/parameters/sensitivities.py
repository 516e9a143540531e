"""A metric against one compared parameter: how much its value matters."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.cells import UNTRAINED, CellKey, PlannedCell, Sample, cell_samples
from analysis.labels import axis_labels, setting_text
from analysis.loading import Results
from analysis.metrics import find_metric
from analysis.plots.shared.charts import Along, Look, Panel, Reference, Series, Spread, draw_charts, series_of
from analysis.plots.shared.scales import scale_for
from analysis.plots.shared.selection import cells_of, is_numeric, value_of, values_along
from analysis.protocol.notes import protocol_line
from analysis.statistics import summarize
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Samples = Mapping[CellKey, Sample]


def sensitivity(
    results: Results,
    *,
    axis: str | None = None,
    metric: str = "map_at_r",
    methods: Sequence[str] | None = None,
    spread: Spread = "interval",
) -> "Figure":
    """One panel per dataset; a line per method, and per setting of the other parameters, with an interval per value.

    The untrained embedding and baselines that do not have the parameter are lines across. Values whose ratios are even
    (0.1, 1, 10) stand on a logarithmic axis.

    Args:
        results: one or several studies, finished or not; values without a result are left out.
        axis: a compared parameter, "synthesis.ratio", or "dataset" or "method"; by default the only numeric one.
        metric: as in `comparison_table`.
        methods: those with a line; by default all that have the parameter.
        spread: 95 % t-interval of the mean, or one standard deviation over seeds.

    Raises:
        DmlStudyError: the parameter is not compared or cannot be inferred, or no cell that has it has a result.
    """
    axis = axis or _only(varying_axes(results, methods))
    _check_known(results, axis)
    found = find_metric(metric, set(results.replicates.columns))
    samples = cell_samples(results.replicates, found.column, factor=found.factor)
    cells = [cell for cell in cells_of(results, methods) if value_of(cell, axis) is not None and cell.key in samples]
    if not cells:
        raise DmlStudyError(f"no method that has '{axis}' has a result of '{found.column}' yet")
    values = values_along(cells, axis)
    along = Along(axis_labels([axis])[axis], scale_for(values), values)
    panels = _panels(results, cells, samples, along, axis, spread)
    shown = [*cells, *(cell for cells in _across(results, cells, axis).values() for cell in cells)]
    return draw_charts(
        panels,
        along=along,
        y_label=found.title,
        look=Look(spread, "bar"),
        protocol=protocol_line(results, [cell.key for cell in shown]),
    )


def varying_axes(results: Results, methods: Sequence[str] | None = None) -> list[str]:
    """Compared numeric parameters with several values."""
    cells = cells_of(results, methods)
    known = {axis: values_along(cells, axis) for axis in results.axes}
    return [axis for axis, values in known.items() if is_numeric(values) and len(values) > 1]


def _only(axes: Sequence[str]) -> str:
    if len(axes) != 1:
        raise DmlStudyError(f"along which parameter? Name one; numeric ones with several values: {_listed(axes)}")
    return axes[0]


def _check_known(results: Results, axis: str) -> None:
    known = [*results.axes, "dataset", "method", "study"]
    if axis not in known:
        raise DmlStudyError(f"'{axis}' is not compared in these results; known: {', '.join(known)}")


def _listed(axes: Sequence[str]) -> str:
    return ", ".join(axes) or "none"


def _panels(
    results: Results, cells: Sequence[PlannedCell], samples: Samples, along: Along, axis: str, spread: Spread
) -> list[Panel]:
    across = _across(results, cells, axis)
    panels: dict[str, dict[str, list[PlannedCell]]] = {}
    studies = {cell.study for cell in cells}
    for cell in cells:
        title = "" if axis == "dataset" else cell.dataset
        label = _line(cell, axis, several_studies=len(studies) > 1)
        panels.setdefault(title, {}).setdefault(label, []).append(cell)
    return [
        Panel(
            title,
            [_series(label, members, samples, along, axis, spread) for label, members in lines.items()],
            [
                Reference(cell.method, summarize(samples[cell.key].values))
                for cell in across.get(title, ())
                if cell.key in samples
            ],
        )
        for title, lines in panels.items()
    ]


def _series(
    label: str, cells: Sequence[PlannedCell], samples: Samples, along: Along, axis: str, spread: Spread
) -> Series:
    ordered = sorted(cells, key=lambda cell: along.values.index(value_of(cell, axis)))
    x = along.places([value_of(cell, axis) for cell in ordered])
    return series_of(label, x, [samples[cell.key] for cell in ordered], spread)


def _line(cell: PlannedCell, axis: str, *, several_studies: bool) -> str:
    rest: dict[str, Any] = {key: value for key, value in cell.axes.items() if key != axis}
    details = ", ".join(filter(None, [cell.study if several_studies else "", setting_text(rest)]))
    name = "" if axis == "method" else cell.method
    return f"{name} ({details})" if name and details else name or details or "all"


def _across(results: Results, cells: Sequence[PlannedCell], axis: str) -> dict[str, list[PlannedCell]]:
    """By dataset the cells without the parameter that lines are held against: untrained ones and baselines."""
    if axis in ("dataset", "method", "study"):
        return {}
    baselines = {cell.baseline for cell in cells}
    found: dict[str, list[PlannedCell]] = {}
    for cell in cells_of(results, None):
        if value_of(cell, axis) is None and (cell.method == UNTRAINED or cell.key in baselines):
            found.setdefault(cell.dataset, []).append(cell)
    return found
