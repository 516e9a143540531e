"""Which cells a figure shows, their values along an axis, and what their lines and rows are called."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis.cells import PlannedCell, choose_cells, planned_cells
from analysis.labels import setting_text
from analysis.loading import Results
from trainables.errors import DmlStudyError

Settings = Literal["chosen", "all"]


def cells_of(results: Results, methods: Sequence[str] | None) -> list[PlannedCell]:
    """Planned cells of some methods, of all by default.

    Raises:
        DmlStudyError: no cell has a method of that name.
    """
    cells = [cell for cell in planned_cells(results) if methods is None or cell.method in methods]
    unknown = set(methods or ()) - {cell.method for cell in cells}
    if unknown:
        raise DmlStudyError(f"the results have no method {', '.join(map(repr, sorted(unknown)))}")
    return cells


def settled_cells(results: Results, methods: Sequence[str] | None, settings: Settings) -> list[PlannedCell]:
    """Cells of some methods, at the setting that validation chose (all where nothing was validated) or at all."""
    cells = cells_of(results, methods)
    by = {plan.get("protocol", {}).get("select_by", "map_at_r") for plan in results.plans.values()}
    column = f"val_{next(iter(by))}" if len(by) == 1 else "val_map_at_r"
    validated = column in results.replicates.columns and results.replicates[column].notna().any()
    return choose_cells(cells, results.replicates, column).cells if settings == "chosen" and validated else cells


def value_of(cell: PlannedCell, axis: str) -> Any:
    """A compared parameter, or "dataset", "method", "study"; None where the cell does not have it."""
    return {"dataset": cell.dataset, "method": cell.method, "study": cell.study}.get(axis, cell.axes.get(axis))


def is_numeric(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)


def values_along(cells: Sequence[PlannedCell], axis: str) -> list[Any]:
    """Distinct values of cells that have one: numbers in ascending order, anything else in the order of the plan."""
    values = [value for value in dict.fromkeys(value_of(cell, axis) for cell in cells) if value is not None]
    return sorted(values) if is_numeric(values) else values


@dataclass(frozen=True)
class Entry:
    """One entry of a legend, or one row: its cell on each dataset."""

    label: str
    cells: Mapping[str, PlannedCell]


def entries(cells: Sequence[PlannedCell]) -> list[Entry]:
    """Cells of one method and setting are one entry; the setting is left out where it differs between datasets."""
    counts = Counter((cell.study, cell.method, cell.dataset) for cell in cells)
    groups: dict[tuple[str, ...], dict[str, PlannedCell]] = {}
    for cell in cells:
        several = counts[cell.study, cell.method, cell.dataset] > 1
        setting = setting_text(dict(cell.axes)) if several else ""
        groups.setdefault((cell.study, cell.method, setting), {})[cell.dataset] = cell
    studies = {cell.study for cell in cells}
    return [Entry(_label(members, len(studies) > 1), members) for members in groups.values()]


def _label(members: Mapping[str, PlannedCell], several_studies: bool) -> str:
    first = next(iter(members.values()))
    texts = {setting_text(dict(cell.axes)) for cell in members.values()}
    details = ", ".join(filter(None, [first.study if several_studies else "", *(texts if len(texts) == 1 else [])]))
    return first.method + (f" ({details})" if details else "")
