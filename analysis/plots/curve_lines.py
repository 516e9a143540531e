"""Curves by epoch, averaged over seeds: what a figure of learning curves shows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.cells import UNTRAINED, PlannedCell, choose_cells, planned_cells
from analysis.labels import setting_text
from analysis.loading import Results
from analysis.metrics import Metric
from analysis.samples import CellKey, cell_samples
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    import pandas as pd


def curve_cells(results: Results, methods: Sequence[str] | None, settings: str) -> list[PlannedCell]:
    """The cells to draw: of some methods, at the setting that validation chose or at all."""
    cells = [cell for cell in planned_cells(results) if methods is None or cell.method in methods]
    unknown = set(methods or ()) - {cell.method for cell in cells}
    if unknown:
        raise DmlStudyError(f"the results have no method {', '.join(map(repr, sorted(unknown)))}")
    by = {plan.get("protocol", {}).get("select_by", "map_at_r") for plan in results.plans.values()}
    column = f"val_{next(iter(by))}" if len(by) == 1 else "val_map_at_r"
    validated = column in results.replicates.columns and results.replicates[column].notna().any()
    return choose_cells(cells, results.replicates, column).cells if settings == "chosen" and validated else cells


def recorded_metrics(epochs: "pd.DataFrame") -> list[str]:
    """Columns that have numbers in them and are worth a curve."""
    wanted = [name for name in epochs.columns if name.endswith(("loss", "lr")) or name.startswith(("val_", "test_"))]
    return [name for name in wanted if epochs[name].notna().any()]


def mean_curves(
    results: Results, cells: Sequence[PlannedCell], metric: Metric, phase: str
) -> "dict[CellKey, pd.DataFrame]":
    """Frames with epoch, mean, std and n of every cell; only epochs that all of its seeds reached."""
    values = _by_seed(results, metric, phase)
    frame = values.groupby(["study", "cell", "epoch"], as_index=False)["value"].agg(["mean", "std", "count"])
    wanted = {cell.key for cell in cells}
    groups = {
        (str(rows["study"].iloc[0]), int(rows["cell"].iloc[0])): rows for _, rows in frame.groupby(["study", "cell"])
    }
    return {key: rows[rows["count"] == rows["count"].max()] for key, rows in groups.items() if key in wanted}


def _by_seed(results: Results, metric: Metric, phase: str) -> "pd.DataFrame":
    """Study, cell, seed, epoch, value; folds of a seed averaged, each run once per cell."""
    replicates = results.replicates
    complete = replicates.loc[replicates["status"] == "complete", ["study", "cell", "seed", "fold", "run_id"]]
    epochs = results.epochs
    epochs = epochs[(epochs["phase"] == phase) & np.isfinite(epochs[metric.column].astype(float))]
    rows = complete.merge(epochs[["study", "run_id", "epoch", metric.column]], on=["study", "run_id"])
    seeds = rows.groupby(["study", "cell", "seed", "epoch"], as_index=False).agg(
        mean=(metric.column, "mean"), found=("fold", "nunique"), run=("run_id", "first")
    )
    planned = replicates.groupby(["study", "cell", "seed"])["fold"].nunique().rename("planned")
    seeds = seeds.join(planned, on=["study", "cell", "seed"])
    whole = seeds[seeds["found"] == seeds["planned"]].drop_duplicates(["study", "cell", "run", "epoch"])
    return whole.assign(value=whole["mean"] * metric.factor)


@dataclass(frozen=True)
class Line:
    """One entry of the legend: its curve on each dataset."""

    label: str
    curves: "Mapping[str, pd.DataFrame]"


def named_lines(cells: Sequence[PlannedCell], curves: "Mapping[CellKey, pd.DataFrame]") -> list[Line]:
    """Cells of one method and setting are one line; the setting is left out where it differs between datasets."""
    studies = {cell.study for cell in cells}
    groups: dict[tuple[str, ...], dict[str, PlannedCell]] = {}
    several = _with_several_settings(cells)
    for cell in cells:
        setting = setting_text(dict(cell.axes)) if (cell.study, cell.method, cell.dataset) in several else ""
        groups.setdefault((cell.study, cell.method, setting), {})[cell.dataset] = cell
    lines = []
    for (study, method, _), members in groups.items():
        texts = {setting_text(dict(cell.axes)) for cell in members.values()}
        details = ", ".join(filter(None, [study if len(studies) > 1 else "", *(texts if len(texts) == 1 else [])]))
        known = {dataset: curves[cell.key] for dataset, cell in members.items() if cell.key in curves}
        lines.append(Line(method + (f" ({details})" if details else ""), known))
    return [line for line in lines if line.curves]


def _with_several_settings(cells: Sequence[PlannedCell]) -> set[tuple[str, str, str]]:
    counts = Counter((cell.study, cell.method, cell.dataset) for cell in cells)
    return {key for key, count in counts.items() if count > 1}


def references(results: Results, cells: Sequence[PlannedCell], metric: Metric) -> dict[str, float]:
    """The untrained embedding's value by dataset, where it was measured on the same classes."""
    if metric.column not in results.replicates.columns:
        return {}
    samples = cell_samples(results.replicates, metric.column, factor=metric.factor)
    untrained = [cell for cell in cells if cell.method == UNTRAINED and cell.key in samples]
    return {cell.dataset: samples[cell.key].mean for cell in untrained}
