"""Builds the comparison table: methods at their settings by datasets and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from analysis.cells import UNTRAINED, PlannedCell, choose_cells, planned_cells
from analysis.labels import axis_labels, value_text
from analysis.loading import Results
from analysis.metrics import DEFAULT_METRICS, SELECTED_ON_TEST, Metric, find_metric
from analysis.protocol_columns import cell_protocols
from analysis.samples import EMPTY, CellKey, Sample, cell_samples
from analysis.statistics import Comparison, bold_cells, compare_all, summarize
from analysis.tables.model import Cell, Column, Row, Table
from analysis.tables.notes import footnotes
from trainables.errors import DmlStudyError

Samples = Mapping[str, Mapping[CellKey, Sample]]
"""Column of the metric -> cell -> sample."""


@dataclass(frozen=True)
class Line:
    """A row before its numbers: a method's cells at one setting, by dataset."""

    study: str
    method: str
    cells: Mapping[str, PlannedCell]

    @property
    def reading(self) -> str | None:
        return next(iter(self.cells.values())).reading


def comparison_table(
    results: Results,
    *,
    metrics: Sequence[str] | None = None,
    deltas: Sequence[str] | None = None,
    best: str | None = None,
    sort: str | None = None,
    group: Literal["dataset", "metric"] = "dataset",
) -> Table:
    """Mean and sample standard deviation over seeds, differences to baselines, bold by significance.

    Args:
        results: one or several studies, finished or not.
        metrics: "map_at_r", "recall_at_2", or any column of `Results.runs`; by default Recall@1, R-precision and MAP@R,
            the one that epochs are selected by, and best epochs on test, flagged, where the protocol recorded them.
        deltas: metrics that get a column of differences to the baseline; by default the one that epochs are selected
            by. `()` for none.
        best: a validation metric, "val_map_at_r": one row per method, its setting chosen by that metric's mean.
        sort: a metric: best row first, by its mean over datasets. By default the order of the plan. The untrained
            embedding stands first in any case.
        group: what the upper header names.

    Raises:
        DmlStudyError: a metric that no run has, or a choice of settings on anything but validation classes.
    """
    shown = _metrics(results, metrics)
    with_delta = _delta_metrics(results, deltas, shown)
    cells = planned_cells(results)
    choice = None if best is None else choose_cells(cells, results.replicates, best)
    lines = _lines(cells if choice is None else choice.cells, by_setting=choice is None)
    samples = {m.column: cell_samples(results.replicates, m.column, factor=m.factor) for m in [*shown, *with_delta]}
    if sort is not None:
        lines = _sorted(lines, results, sort)
    columns = _columns(lines, shown, with_delta, group)
    table = Table(
        title=", ".join(results.plans),
        headings=_headings(results, lines),
        columns=columns,
        rows=_rows(results, lines, columns, samples, _blocks(results, lines, sort)),
        footnotes=(),
        grouped_by=group,
    )
    shown_cells = [cell for line in lines for cell in line.cells.values()]
    return replace(table, footnotes=footnotes(results, table, shown_cells, samples, choice))


def _metrics(results: Results, names: Sequence[str] | None) -> list[Metric]:
    available = set(results.replicates.columns)
    if names is not None:
        return [find_metric(name, available) for name in dict.fromkeys(names)]
    on_test = [SELECTED_ON_TEST + name for name in DEFAULT_METRICS]
    recorded = [name for name in on_test if name in available and results.replicates[name].notna().any()]
    own = [name for name in sorted(_selecting(results) - {*DEFAULT_METRICS}) if f"test_{name}" in available]
    return [find_metric(name, available) for name in (*own, *DEFAULT_METRICS, *recorded)]


def _selecting(results: Results) -> set[str]:
    """Metrics that epochs are selected by."""
    return {plan.get("protocol", {}).get("select_by", "map_at_r") for plan in results.plans.values()}


def _delta_metrics(results: Results, names: Sequence[str] | None, shown: Sequence[Metric]) -> list[Metric]:
    if names is None:
        return [metric for metric in shown if metric.column.removeprefix("test_") in _selecting(results)]
    wanted = [find_metric(name, set(results.replicates.columns)) for name in names]
    for metric in wanted:
        if metric not in shown:
            raise DmlStudyError(f"deltas: '{metric.column}' is not among the table's metrics")
    return wanted


def _lines(cells: Sequence[PlannedCell], *, by_setting: bool) -> list[Line]:
    lines: dict[tuple[Any, ...], dict[str, PlannedCell]] = {}
    for cell in cells:
        setting = tuple(cell.axes.items()) if by_setting else (cell.reading,)
        lines.setdefault((cell.study, cell.method, setting), {})[cell.dataset] = cell
    return [Line(study, method, members) for (study, method, _), members in lines.items()]


def _sorted(lines: Sequence[Line], results: Results, sort: str) -> list[Line]:
    metric = find_metric(sort, set(results.replicates.columns))
    samples = cell_samples(results.replicates, metric.column)
    sign = -1 if metric.higher_is_better else 1

    def key(line: Line) -> tuple[bool, bool, float]:
        means = [samples[cell.key].mean for cell in line.cells.values() if cell.key in samples]
        return line.method != UNTRAINED, not means, sign * sum(means) / max(len(means), 1)

    return sorted(lines, key=key)


def _columns(
    lines: Sequence[Line], metrics: Sequence[Metric], deltas: Sequence[Metric], group: str
) -> tuple[Column, ...]:
    cells = [cell for line in lines for cell in line.cells.values()]
    datasets = list(dict.fromkeys(cell.dataset for cell in sorted(cells, key=lambda cell: cell.key[1])))
    baselines = any(cell.baseline is not None for cell in cells)
    pairs = [(dataset, metric) for dataset in datasets for metric in metrics]
    if group == "metric":
        pairs = [(dataset, metric) for metric in metrics for dataset in datasets]
    return tuple(Column(dataset, metric, delta=baselines and metric in deltas) for dataset, metric in pairs)


def _headings(results: Results, lines: Sequence[Line]) -> tuple[str, ...]:
    study = ("Study",) if len(results.sources) > 1 else ()
    axes = _shown_axes(results, lines)
    labels = axis_labels(axes)
    return (*study, "Method", *(labels[axis] for axis in axes))


def _shown_axes(results: Results, lines: Sequence[Line]) -> list[str]:
    cells = [cell for line in lines for cell in line.cells.values()]
    return [axis for axis in results.axes if any(cell.axes[axis] is not None for cell in cells)]


def _rows(
    results: Results, lines: Sequence[Line], columns: Sequence[Column], samples: Samples, blocks: Sequence[int]
) -> tuple[Row, ...]:
    cells_by_column = [_column_cells(lines, column, samples[column.metric.column]) for column in columns]
    axes = _shown_axes(results, lines)
    several = len(results.sources) > 1
    protocols = cell_protocols(results, [cell.key for line in lines for cell in line.cells.values()])
    rows = []
    for index, line in enumerate(lines):
        settings = [" / ".join(_distinct(line, axis)) for axis in axes]
        labels = (*([line.study] if several else []), line.method, *settings)
        told = {dataset: protocols.get(cell.key, {}) for dataset, cell in line.cells.items()}
        rows.append(Row(labels, tuple(cells[index] for cells in cells_by_column), blocks[index], line.reading, told))
    return tuple(rows)


def _blocks(results: Results, lines: Sequence[Line], sort: str | None) -> list[int]:
    """A method stands in one block with its baseline; sorted rows only set the untrained apart."""
    baselines = {
        (study, method["name"]): method.get("baseline")
        for study, plan in results.plans.items()
        for method in plan["methods"]
    }
    families = [(line.study, baselines.get((line.study, line.method)) or line.method) for line in lines]
    if sort is not None or len(set(families)) == len(lines):
        return [int(line.method != UNTRAINED) for line in lines]
    order = list(dict.fromkeys(families))
    return [order.index(family) for family in families]


def _distinct(line: Line, axis: str) -> list[str]:
    texts = [value_text(cell.axes[axis]) for cell in line.cells.values()]
    return texts[:1] if len(set(texts)) == 1 else texts


def _column_cells(lines: Sequence[Line], column: Column, samples: Mapping[CellKey, Sample]) -> list[Cell]:
    planned = [line.cells.get(column.dataset) for line in lines]
    values = [EMPTY if cell is None else samples.get(cell.key, EMPTY) for cell in planned]
    bold = _bold(lines, values, higher_is_better=column.metric.higher_is_better)
    deltas = _deltas_to_baseline(planned, values, samples) if column.delta else [None] * len(lines)
    summaries = [summarize(sample.values) for sample in values]
    return [Cell(*parts) for parts in zip(summaries, bold, deltas, strict=True)]


def _bold(lines: Sequence[Line], values: Sequence[Sample], *, higher_is_better: bool) -> list[bool]:
    """The best of each reading; a row without one, the untrained network's, has to be the best of all."""
    readings: list[str | None] = [*dict.fromkeys(line.reading for line in lines if line.reading)] or [None]
    marks = {}
    for reading in readings:
        rivals = [
            value if line.reading in (None, reading) else EMPTY for line, value in zip(lines, values, strict=True)
        ]
        marks[reading] = bold_cells(rivals, higher_is_better=higher_is_better)
    return [
        all(marks[reading][index] for reading in readings if line.reading in (None, reading))
        for index, line in enumerate(lines)
    ]


def _deltas_to_baseline(
    cells: Sequence[PlannedCell | None], values: Sequence[Sample], samples: Mapping[CellKey, Sample]
) -> list[Comparison | None]:
    baselines = [None if cell is None else cell.baseline for cell in cells]
    pairs = [(sample, samples.get(key or ("", -1), EMPTY)) for sample, key in zip(values, baselines, strict=True)]
    compared = compare_all(pairs)
    return [None if key is None else result for key, result in zip(baselines, compared, strict=True)]
