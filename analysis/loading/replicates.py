"""A plan as a data frame: one row per cell and replicate."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.labels import plain_value
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    import pandas as pd


def plan_frame(study: str, plan: dict[str, Any], axes: Sequence[str], datasets: "pd.DataFrame") -> "pd.DataFrame":
    """Columns study, method, cell, dataset, one per axis, seed, fold, run_id; in the order of the plan.

    Args:
        study: name of the study in these results.
        plan: as `Ledger.read_plan` returns it.
        axes: compared parameters that get a column, also those of other studies.
        datasets: committed runs (study, run_id, dataset): names the dataset where the study does not compare it.
    """
    import pandas as pd

    cells = plan["cells"]
    owners = [index for index, cell in enumerate(cells) for _ in cell["replicates"]]
    replicates = [replicate for cell in cells for replicate in cell["replicates"]]
    if not replicates:
        raise DmlStudyError(_empty(study, plan))
    columns: dict[str, Any] = {
        "study": study,
        "method": [cells[index]["method"] for index in owners],
        "cell": owners,
        "dataset": [cells[index]["axes"].get("dataset") for index in owners],
    }
    for axis in axes:
        columns[axis] = _column([plain_value(cells[index]["axes"].get(axis)) for index in owners])
    for key in ("seed", "fold", "run_id"):
        columns[key] = [replicate[key] for replicate in replicates]
    return _name_datasets(pd.DataFrame(columns), datasets)


def _empty(study: str, plan: dict[str, Any]) -> str:
    if plan.get("searches"):
        return (
            f"study '{study}' has no cells yet: its hyperparameters are still searched; `dml-study status` says how "
            "far, `dml-study run` goes on"
        )
    return f"study '{study}': the plan has no runs"


def _column(values: list[Any]) -> "pd.Series[Any]":
    """Numbers as numbers, but whole ones beside missing ones stay as they are: 64 does not turn into 64.0."""
    import pandas as pd

    column = pd.Series(values, dtype=object)
    whole = any(isinstance(value, int) for value in values)
    return column if whole and None in values else column.infer_objects()


def _name_datasets(rows: "pd.DataFrame", datasets: "pd.DataFrame") -> "pd.DataFrame":
    """Fills in the dataset of cells whose study has a single one: from the cell's runs, else from the study's."""
    if rows["dataset"].notna().all():
        return rows
    found = datasets[datasets["study"] == rows["study"].iloc[0]].set_index("run_id")["dataset"]
    by_run = rows["run_id"].map(found)
    by_cell = by_run.groupby(rows["cell"]).transform("first")
    names = by_run.dropna().unique()
    filled = rows["dataset"].fillna(by_cell).fillna(names[0] if len(names) == 1 else "dataset")
    return rows.assign(dataset=filled)
