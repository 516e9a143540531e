"""Builds the comparison table: any metric, with any keys as rows and columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from analysis.cells import CellKey, PlannedCell, cell_samples, choose_cells, planned_cells
from analysis.labels import axis_labels, value_text
from analysis.loading import Results
from analysis.metrics import DEFAULT_METRICS, SELECTED_ON_TEST, Metric, find_metric
from analysis.protocol.columns import cell_protocols
from analysis.tables.axes import OWN_KEYS, Axes, choose_axes
from analysis.tables.checks import Check, check_marks, find_checks
from analysis.tables.merging import merged_studies
from analysis.tables.model import Row, Table
from analysis.tables.notes import footnotes
from analysis.tables.numbers import filled
from analysis.tables.places import Line, columns_of, lines_of, sorted_lines
from analysis.tables.stars import with_stars
from trainables.errors import DmlStudyError
from trainables.spelling import nearest

SHOWN = ("mean", "std", "interval", "n", "delta")
"""What a table can show of a cell; the mean always stands."""


def comparison_table(
    results: Results,
    *,
    metrics: Sequence[str] | None = None,
    deltas: Sequence[str] | None = None,
    best: str | None = None,
    sort: str | None = None,
    group: Literal["dataset", "metric"] = "dataset",
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    show: Sequence[str] = ("std", "n", "delta"),
    mark: Literal["best", "second", "none"] = "best",
    check: Sequence[str] = (),
    studies: Literal["apart", "merged"] = "apart",
) -> Table:
    """Mean and sample standard deviation over seeds, differences to baselines, bold by significance.

    Args:
        results: one or several studies, finished or not.
        metrics: "map_at_r", "recall_at_2", or any column of `Results.runs`; by default Recall@1, R-precision and MAP@R,
            the one that epochs are selected by, and best epochs on test, flagged, where the protocol recorded them.
        deltas: metrics that get a column of differences to the baseline; by default the one that epochs are selected
            by. `()` for none.
        best: a validation metric, "val_map_at_r": one row per method, its setting chosen by that metric's mean.
        sort: a metric: best row first, by its mean over the row. By default the order of the plan. The untrained
            embedding stands first in any case.
        group: what the upper header names, where `columns` says nothing.
        rows, columns: keys from the outermost to the innermost: "method", "dataset", "metric", "study", "readout", or
            a compared parameter ("synthesis.ratio"). Keys that are in neither are added: dataset and metric to the
            columns, the others to the rows.
        show: what stands beside the mean: "std", "interval" (95 % t-interval), "n", "delta".
        mark: "best" prints the best bold, "second" also underlines the second best of at least three, "none" neither.
        check: "KEY" or "KEY=VALUE" for a column of check marks: where a compared parameter, or one of the runs'
            configuration, is there (not false, none or 0), or has that value.
        studies: "apart" names the study of each row; "merged" shows rows once that are the very same runs in several.

    Raises:
        DmlStudyError: a metric that no run has, an unknown key, or a choice of settings on anything but validation
            classes.
    """
    _check_shown(show)
    shown = _metrics(results, metrics)
    with_delta = _delta_metrics(results, deltas, shown) if "delta" in show else []
    cells, names = _cells(results, studies)
    choice = None if best is None else choose_cells(cells, results.replicates, best)
    cells = cells if choice is None else choice.cells
    compared = [axis for axis in results.axes if any(cell.axes[axis] is not None for cell in cells)]
    axes = choose_axes(
        cells, shown, rows=rows, columns=columns, group=group, compared=compared, by_setting=choice is None
    )
    samples = {m.column: cell_samples(results.replicates, m.column, factor=m.factor) for m in shown}
    lines = lines_of(cells, shown, axes)
    lines = lines if sort is None else _sorted(results, lines, sort)
    found, numbers = filled(lines, columns_of(lines, shown, axes, compared), samples, axes, with_delta, mark)
    headings, labels = _labels(results, lines, axes, names, find_checks(results, check, compared))
    parts = zip(labels, numbers, _blocks(results, lines, axes, sort), lines, strict=True)
    table = Table(
        title=", ".join(results.plans),
        headings=headings,
        columns=found,
        rows=tuple(Row(texts, filled_in, block, line.reading) for texts, filled_in, block, line in parts),
        footnotes=(),
        shown=tuple(show),
        spans=_spans(headings, axes),
        protocols=lambda: cell_protocols(results, [cell.key for cell in cells]),
    )
    return _starred(replace(table, footnotes=footnotes(results, table, cells, samples, choice)), results, best)


def _starred(table: Table, results: Results, best: str | None) -> Table:
    """With the stars of claims; the libraries that test them load where there are any."""
    if not any(plan.get("claims") for plan in results.plans.values()):
        return table
    from analysis.claims import claim_stars

    claimed = claim_stars(results, best=best)
    return with_stars(table, claimed.marks, claimed.note)


def _cells(results: Results, studies: Literal["apart", "merged"]) -> tuple[list[PlannedCell], Mapping[CellKey, str]]:
    """The planned cells, and the study that rows name."""
    cells = planned_cells(results)
    return merged_studies(results, cells) if studies == "merged" else (cells, {cell.key: cell.study for cell in cells})


def _sorted(results: Results, lines: Sequence[Line], sort: str) -> list[Line]:
    metric = find_metric(sort, set(results.replicates.columns))
    samples = cell_samples(results.replicates, metric.column)
    return sorted_lines(lines, samples, higher_is_better=metric.higher_is_better)


def _check_shown(show: Sequence[str]) -> None:
    for name in show:
        if name not in SHOWN:
            raise DmlStudyError(f"show: unknown value '{name}'; {nearest(name, list(SHOWN))}")


def _metrics(results: Results, names: Sequence[str] | None) -> list[Metric]:
    available = set(results.replicates.columns)
    if names is not None:
        return [find_metric(name, available) for name in dict.fromkeys(names)]
    on_test = [SELECTED_ON_TEST + name for name in DEFAULT_METRICS]
    recorded = [name for name in on_test if name in available and results.replicates[name].notna().any()]
    own = [name for name in sorted(_selecting(results) - {*DEFAULT_METRICS}) if f"test_{name}" in available]
    once = [name for name in (*own, *DEFAULT_METRICS) if results.replicates[f"test_{name}"].notna().any()]
    default = [] if recorded and not once else [*own, *DEFAULT_METRICS]  # published runs: all chosen on test classes
    return [find_metric(name, available) for name in (*default, *recorded)]


def _selecting(results: Results) -> set[str]:
    """Metrics that epochs are selected by."""
    return {plan.get("protocol", {}).get("select_by", "map_at_r") for plan in results.plans.values()}


def _delta_metrics(results: Results, names: Sequence[str] | None, shown: Sequence[Metric]) -> list[Metric]:
    if names is None:
        prefix = "test_" if any(metric.column.startswith("test_") for metric in shown) else SELECTED_ON_TEST
        return [metric for metric in shown if metric.column.removeprefix(prefix) in _selecting(results)]
    wanted = [find_metric(name, set(results.replicates.columns)) for name in names]
    for metric in wanted:
        if metric not in shown:
            raise DmlStudyError(f"deltas: '{metric.column}' is not among the table's metrics")
    return wanted


def _labels(
    results: Results, lines: Sequence[Line], axes: Axes, studies: Mapping[CellKey, str], checks: Sequence[Check]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings of the row labels, and the labels of every line; check marks stand behind the other labels."""
    hidden = {check.key for check in checks}
    keys = [key for key in axes.labels if key not in hidden]
    names = axis_labels([key for key in axes.labels if key not in OWN_KEYS])
    headings = [names.get(key, key.capitalize()) for key in keys]
    marks = check_marks(results, checks, lines)
    labels = [
        (*(_label(line, key, axes, studies) for key in keys), *(each[index] for each in marks))
        for index, line in enumerate(lines)
    ]
    return (*headings, *(check.heading for check in checks)), labels


def _label(line: Line, key: str, axes: Axes, studies: Mapping[CellKey, str]) -> str:
    if key == "metric":
        metric: Metric = line.at[axes.rows.index(key)]
        return f"{metric.title}{metric.flag}"
    if key not in OWN_KEYS:
        return _settings(line, key)
    texts = [{"study": studies[cell.key], "method": cell.label, "dataset": cell.dataset}[key] for cell in line.cells]
    return " / ".join(dict.fromkeys(texts))


def _settings(line: Line, key: str) -> str:
    """Of a chosen setting that differs between datasets, in their order."""
    texts = [value_text(cell.axes[key]) for cell in line.cells]
    return " / ".join(texts[:1] if len(set(texts)) == 1 else texts)


def _spans(headings: Sequence[str], axes: Axes) -> tuple[int, ...]:
    """The name of a method is printed once; of chosen keys all but the innermost are."""
    if axes.given:
        return tuple(range(1, len(axes.rows)))
    return (headings.index("Method") + 1,) if "Method" in headings else ()


def _blocks(results: Results, lines: Sequence[Line], axes: Axes, sort: str | None) -> list[int]:
    """A method stands in one block with its baseline; sorted rows only set the untrained apart. Rows by chosen keys
    stand in blocks of the outermost one."""
    if sort is not None:
        return [int(not line.untrained) for line in lines]
    families = _families(results, lines) if not axes.given else [line.at[:1] for line in lines]
    if len(set(families)) == len(lines):
        return [int(not line.untrained) for line in lines]
    order = list(dict.fromkeys(families))
    return [order.index(family) for family in families]


def _families(results: Results, lines: Sequence[Line]) -> list[Any]:
    baselines = {
        (study, method["name"]): method.get("baseline")
        for study, plan in results.plans.items()
        for method in plan["methods"]
    }
    methods = [{(cell.study, cell.method) for cell in line.cells} for line in lines]
    if any(len(found) > 1 for found in methods):
        return [line.at[:1] for line in lines]
    first = [next(iter(found)) for found in methods]
    return [(study, baselines.get((study, method)) or method) for study, method in first]
