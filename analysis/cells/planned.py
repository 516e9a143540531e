"""The cells of the plans, in the order of tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.cells.samples import CellKey
from analysis.labels import is_missing
from analysis.loading import Results

UNTRAINED = "untrained"
READOUT = "readout"
"""The axis of several readings of the same runs; each is compared with its like."""


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a plan.

    Attributes:
        axes: value of every compared parameter but the dataset; None where the method does not have it.
        baseline: the cell that differences are taken to.
        label: what tables call the method.
    """

    key: CellKey
    method: str
    dataset: str
    axes: Mapping[str, Any]
    baseline: CellKey | None
    label: str

    @property
    def study(self) -> str:
        return self.key[0]

    @property
    def reading(self) -> str | None:
        """What it shows of the models of several folds; None where the study has one reading."""
        return self.axes.get(READOUT)


def planned_cells(results: Results) -> list[PlannedCell]:
    """All cells: untrained methods first, then by study, method and cell in the order of the plans."""
    replicates = results.replicates.drop_duplicates(["study", "cell"])
    columns = replicates[["study", "cell", "method", "dataset", *results.axes]]
    labels = method_labels(results)
    cells = [_cell(results, row, labels) for row in columns.itertuples(index=False)]
    order = {
        (study, method["name"]): index
        for study, plan in results.plans.items()
        for index, method in enumerate(plan["methods"])
    }
    studies = list(results.plans)
    return sorted(
        cells,
        key=lambda cell: (
            cell.method != UNTRAINED,
            studies.index(cell.study),
            order.get((cell.study, cell.method), len(order)),
            cell.key[1],
        ),
    )


def method_labels(results: Results) -> dict[tuple[str, str], str]:
    """What tables call every method, by study and name: the spec's `label`, or its name."""
    return {
        (study, method["name"]): method.get("label") or method["name"]
        for study, plan in results.plans.items()
        for method in plan["methods"]
    }


def _cell(results: Results, row: Any, labels: Mapping[tuple[str, str], str]) -> PlannedCell:
    study, index, method, dataset, *values = row
    axes = {axis: None if is_missing(value) else value for axis, value in zip(results.axes, values, strict=True)}
    baseline = results.plans[study]["cells"][index].get("baseline")
    compared_with = None if baseline is None else (study, int(baseline))
    return PlannedCell((study, int(index)), method, dataset, axes, compared_with, labels.get((study, method), method))
