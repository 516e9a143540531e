"""The values of one cell, by seed: what every statistic starts from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.loading.widening import rows_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
CellKey = tuple[str, int]
"""Study and index of the cell in its plan."""


@dataclass(frozen=True)
class Sample:
    """One metric of one cell.

    Attributes:
        by_seed: value of every seed; the folds of a seed are averaged, since they share training data.
        runs: the run behind each seed; several seeds may share one, as those of an untrained network do.
    """

    by_seed: Mapping[int, float]
    runs: Mapping[int, str]

    @cached_property
    def values(self) -> Floats:
        """[n] Values of the distinct runs, in the order of the seeds."""
        first = {run: self.by_seed[seed] for seed, run in sorted(self.runs.items(), reverse=True)}
        return np.array([first[run] for run in dict.fromkeys(self.runs[seed] for seed in sorted(self.runs))])

    @property
    def n(self) -> int:
        """Number of distinct runs."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Mean over distinct runs; NaN where there are none."""
        return float(self.values.mean()) if self.n else float("nan")

    @property
    def shared(self) -> bool:
        """Whether one run stands for all seeds: the value does not depend on the seed."""
        return self.n == 1 < len(self.by_seed)

    def at(self, seeds: list[int]) -> Floats:
        """[len(seeds)] Values in the order of the seeds; the same value again where one run serves all."""
        return np.full(len(seeds), self.values[0]) if self.shared else np.array([self.by_seed[seed] for seed in seeds])


EMPTY = Sample({}, {})


def cell_samples(replicates: "pd.DataFrame", column: str, *, factor: float = 1.0) -> dict[CellKey, Sample]:
    """The sample of every cell that has a value.

    A seed counts when all its planned folds are complete with a finite value; what is missing is never averaged over.

    Args:
        replicates: as `Results.replicates`, or some of its rows.
        column: the metric's column.
        factor: multiplies every value; 100 for percent.
    """
    found: dict[CellKey, dict[int, list[tuple[str, float]]]] = {}
    rows = replicates[["study", "cell", "seed", "run_id"]].assign(value=valid_values(replicates, column) * factor)
    for study, cell, seed, run, value in rows_of(rows, *rows.columns):
        found.setdefault((study, cell), {}).setdefault(seed, []).append((run, value))
    samples = {key: _sample(found[key]) for key in sorted(found)}
    return {key: sample for key, sample in samples.items() if sample.by_seed}


def _sample(by_seed: Mapping[int, Sequence[tuple[str, float]]]) -> Sample:
    """From the runs and values of every seed's folds; a NaN among them leaves the seed out."""
    means = {seed: math.fsum(value for _, value in by_seed[seed]) / len(by_seed[seed]) for seed in sorted(by_seed)}
    known = {seed: mean for seed, mean in means.items() if not math.isnan(mean)}
    return Sample(known, {seed: by_seed[seed][0][0] for seed in known})


def valid_values(replicates: "pd.DataFrame", column: str) -> "pd.Series[float]":
    """The metric of complete runs, NaN for everything else: missing, failed, pruned, or not finite."""
    values = replicates[column].astype(float)
    return values.where((replicates["status"] == "complete") & np.isfinite(values))
