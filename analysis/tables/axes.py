"""Which keys name the rows of a table, and which its columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.cells import READOUT, PlannedCell
from analysis.metrics import Metric
from trainables.errors import DmlStudyError
from trainables.spelling import nearest

OWN_KEYS = ("study", "method", "dataset", "metric")


@dataclass(frozen=True)
class Axes:
    """Keys of rows and columns.

    Attributes:
        rows, columns: keys whose values tell rows and columns apart, outermost first.
        labels: keys that the row labels show.
        given: whether the user chose the rows, so that they are put in order by their keys.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    given: bool


def value(cell: PlannedCell, metric: Metric, key: str) -> Any:
    """A cell's coordinate."""
    if key in ("study", "method", "dataset"):
        return getattr(cell, key)
    return metric if key == "metric" else cell.axes[key]


def choose_axes(
    cells: Sequence[PlannedCell],
    metrics: Sequence[Metric],
    *,
    rows: Sequence[str] | None,
    columns: Sequence[str] | None,
    group: str,
    compared: Sequence[str],
    by_setting: bool,
) -> Axes:
    """What was asked for, with the keys that were left out where they belong: dataset and metric in the columns,
    study, method and compared parameters in the rows.

    Args:
        compared: parameters that some cell has.
        by_setting: False where one setting of each method was chosen: parameters then tell no rows apart.

    Raises:
        DmlStudyError: an unknown key, one in both, or a parameter by which settings were chosen.
    """
    identity = [key for key in compared if by_setting or key == READOUT]
    several = len({cell.study for cell in cells}) > 1
    before = [*(["study"] if several else []), "method"]
    inner = ["metric", "dataset"] if group == "metric" else ["dataset", "metric"]
    wanted_rows, wanted_columns = list(rows or ()), list(columns or ())
    _check([*wanted_rows, *wanted_columns], [*OWN_KEYS, *compared], identity)
    rest = [key for key in [*before, *identity] if key not in wanted_rows + wanted_columns]
    ordered = [*wanted_rows, *rest] if rows else [key for key in [*before, *identity] if key in rest]
    placed = [*wanted_columns, *(key for key in inner if key not in wanted_rows + wanted_columns)]
    if "metric" not in wanted_columns and wanted_columns and "metric" in placed and len(metrics) == 1:
        placed = ["metric", *(key for key in placed if key != "metric")]
    named = ordered if rows else [key for key in ordered if key not in compared]
    others = [key for key in compared if key not in [*named, *placed]]
    return Axes(tuple(ordered), tuple(placed), (*named, *others), given=rows is not None)


def _check(wanted: Sequence[str], known: list[str], identity: Sequence[str]) -> None:
    for key in wanted:
        if key not in known:
            raise DmlStudyError(f"rows and columns: unknown key '{key}'; {nearest(key, known)}")
        if wanted.count(key) > 1:
            raise DmlStudyError(f"rows and columns: '{key}' is given twice")
        if key not in (*OWN_KEYS, *identity):
            raise DmlStudyError(f"rows and columns: one setting of each method is shown, so '{key}' tells none apart")
