"""Rows that are the same runs in several studies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analysis.cells import CellKey, PlannedCell
from analysis.loading import Results


def merged_studies(results: Results, cells: Sequence[PlannedCell]) -> tuple[list[PlannedCell], dict[CellKey, str]]:
    """Cells of equal method, dataset, parameters and runs once, and the studies of each cell that is left.

    A run's id says everything that changes its numbers: equal runs have equal numbers, whoever trained them. The runs
    of the baseline have to be the same too, or differences would not.
    """
    runs = _runs(results)
    kept: dict[Any, PlannedCell] = {}
    studies: dict[CellKey, list[str]] = {}
    replaced: dict[CellKey, CellKey] = {}
    for cell in cells:
        same = (
            cell.method,
            cell.dataset,
            tuple(cell.axes.items()),
            runs[cell.key],
            runs.get(cell.baseline or cell.key),
        )
        first = kept.setdefault(same, cell)
        studies.setdefault(first.key, []).append(cell.study)
        replaced[cell.key] = first.key
    names = {key: ", ".join(dict.fromkeys(found)) for key, found in studies.items()}
    return [_redirected(cell, replaced) for cell in kept.values()], names


def _runs(results: Results) -> dict[CellKey, tuple[str, ...]]:
    """Every cell's runs by seed and fold."""
    rows = results.replicates.sort_values(["seed", "fold"])
    found: dict[CellKey, tuple[str, ...]] = {}
    for study, cell, run in rows[["study", "cell", "run_id"]].itertuples(index=False, name=None):
        found[str(study), int(cell)] = (*found.get((str(study), int(cell)), ()), str(run))
    return found


def _redirected(cell: PlannedCell, replaced: dict[CellKey, CellKey]) -> PlannedCell:
    return cell if cell.baseline is None else replace(cell, baseline=replaced[cell.baseline])
