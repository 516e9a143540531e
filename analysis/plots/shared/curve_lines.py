"""Curves by epoch, averaged over seeds: what a figure of learning curves shows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from analysis.cells import UNTRAINED, CellKey, PlannedCell, cell_samples
from analysis.loading import Results
from analysis.metrics import Metric
from analysis.plots.shared.charts import Reference, Series, Spread, line_through
from analysis.statistics import summarize

if TYPE_CHECKING:
    import pandas as pd

By = Literal["epoch", "steps", "time"]


def recorded_metrics(epochs: "pd.DataFrame") -> list[str]:
    """Columns that have numbers in them and are worth a curve."""
    wanted = [name for name in epochs.columns if name.endswith(("loss", "lr")) or name.startswith(("val_", "test_"))]
    return [name for name in wanted if epochs[name].notna().any()]


def curve_values(
    results: Results, cells: Sequence[PlannedCell], metric: Metric, phase: str, by: By
) -> "dict[CellKey, pd.DataFrame]":
    """Frames with epoch, value and x of every seed of every cell; only epochs that all of its seeds reached."""
    values = _by_seed(results, metric, phase, by)
    counts = values.groupby(["study", "cell", "epoch"])["value"].transform("count")
    most = counts.groupby([values["study"], values["cell"]]).transform("max")
    wanted = {cell.key for cell in cells}
    groups = values[counts == most].groupby(["study", "cell"])
    frames = {(str(rows["study"].iloc[0]), int(rows["cell"].iloc[0])): rows for _, rows in groups}
    return {key: rows for key, rows in frames.items() if key in wanted}


def curve_series(label: str, values: "pd.DataFrame", spread: Spread, *, unit: float = 1.0) -> Series:
    """The mean over seeds at every epoch; where seeds took different times to it, at their mean time."""
    by_epoch = values.pivot(index="epoch", columns="seed", values="value").dropna(axis=1)
    summaries = [summarize(seeds) for seeds in by_epoch.to_numpy()]
    x = values.groupby("epoch")["x"].mean().to_numpy() / unit
    return line_through(label, x, summaries, spread)


def _by_seed(results: Results, metric: Metric, phase: str, by: By) -> "pd.DataFrame":
    """Study, cell, seed, epoch, value, x; folds of a seed averaged, each run once per cell."""
    replicates = results.replicates
    complete = replicates.loc[replicates["status"] == "complete", ["study", "cell", "seed", "fold", "run_id"]]
    epochs = results.epochs
    epochs = epochs[epochs["phase"] == phase].assign(x=lambda rows: _progress(rows, by))
    epochs = epochs[np.isfinite(epochs[metric.column].astype(float)) & epochs["x"].notna()]
    rows = complete.merge(epochs[["study", "run_id", "epoch", "x", metric.column]], on=["study", "run_id"])
    seeds = rows.groupby(["study", "cell", "seed", "epoch"], as_index=False).agg(
        mean=(metric.column, "mean"), x=("x", "mean"), found=("fold", "nunique"), run=("run_id", "first")
    )
    planned = replicates.groupby(["study", "cell", "seed"])["fold"].nunique().rename("planned")
    seeds = seeds.join(planned, on=["study", "cell", "seed"])
    whole = seeds[seeds["found"] == seeds["planned"]].drop_duplicates(["study", "cell", "run", "epoch"])
    return whole.assign(value=whole["mean"] * metric.factor)


def _progress(rows: "pd.DataFrame", by: By) -> "pd.Series[float]":
    """From the start of a run to each epoch's end, in epochs, steps or seconds; recorded is what each epoch took."""
    if by == "epoch":
        return rows["epoch"].astype(float)
    each = rows["steps"] if by == "steps" else rows["train_seconds"] + rows["eval_seconds"].fillna(0.0)
    ordered = each.astype(float).loc[rows.sort_values("epoch", kind="stable").index]
    runs = [rows.loc[ordered.index, key] for key in ("study", "run_id")]
    return ordered.groupby(runs).cumsum().reindex(rows.index)


def references(results: Results, cells: Sequence[PlannedCell], metric: Metric) -> dict[str, Reference]:
    """The untrained embedding's value by dataset, where it was measured on the same classes."""
    if metric.column not in results.replicates.columns:
        return {}
    samples = cell_samples(results.replicates, metric.column, factor=metric.factor)
    untrained = [cell for cell in cells if cell.method == UNTRAINED and cell.key in samples]
    return {cell.dataset: Reference(UNTRAINED, summarize(samples[cell.key].values)) for cell in untrained}
