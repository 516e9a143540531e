"""How often a method comes how near the best one: over datasets, and over datasets and seeds with bootstrap bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.cells import Floats, Sample
from analysis.statistics import best_sample

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 2000


@dataclass(frozen=True)
class Profile:
    """One method.

    Attributes:
        share: [T] of its runs that are at most each distance behind the best mean, averaged over datasets.
        low, high: [T] 95 % interval of a bootstrap over runs, within datasets; NaN where a dataset has one run.
    """

    share: Floats
    low: Floats
    high: Floats


def profiles(
    samples: Mapping[str, Mapping[str, Sample]],
    distances: Sequence[float] | Floats,
    *,
    higher_is_better: bool,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Profile]:
    """The profile of every method.

    Args:
        samples: by dataset and method; every method on every dataset.
        distances: [T] in the unit of the samples, not negative.
        seed: of the bootstrap.
        resamples: of the bootstrap; 0 for none.

    Source: Dolan and Moré, "Benchmarking optimization software with performance profiles", 2002, with differences in
    place of ratios; bands: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
    NeurIPS 2021.
    """
    points = np.asarray(distances, dtype=float)
    gaps = {dataset: _gaps(each, higher_is_better=higher_is_better) for dataset, each in samples.items()}
    methods = dict.fromkeys(method for each in samples.values() for method in each)
    return {method: _profile([gap[method] for gap in gaps.values()], points, seed, resamples) for method in methods}


def _gaps(samples: Mapping[str, Sample], *, higher_is_better: bool) -> dict[str, Floats]:
    """[n] How far the runs of every method are behind the best mean of the dataset."""
    sign = 1.0 if higher_is_better else -1.0
    best = best_sample(list(samples.values()), higher_is_better=higher_is_better).mean
    return {method: sign * (best - sample.values) for method, sample in samples.items()}


def _profile(gaps: Sequence[Floats], points: Floats, seed: int, resamples: int) -> Profile:
    from scipy import stats

    def share(*tasks: NDArray[Any], axis: int = -1) -> Floats:
        """[T, ...] Mean over tasks of the share of runs [..., n] within each distance."""
        within = [(task[None] <= points.reshape(-1, *[1] * task.ndim) + 1e-9).mean(axis=axis) for task in tasks]
        return np.asarray(np.mean(within, axis=0))

    value = share(*gaps)
    if min(map(len, gaps)) < 2 or not resamples:
        unknown = np.full_like(value, np.nan)
        return Profile(value, unknown, unknown)
    random = np.random.default_rng(seed)
    found = stats.bootstrap(
        tuple(gaps), share, n_resamples=resamples, batch=200, method="percentile", vectorized=True, rng=random
    )
    return Profile(value, *map(np.asarray, found.confidence_interval))


def performance_profile(
    scores: "pd.DataFrame", *, higher_is_better: bool = True, distances: Sequence[float] | None = None
) -> "pd.DataFrame":
    """On which share of the datasets a method is at most so far from the best one (after Dolan and Moré 2002, with
    differences in place of ratios).

    Args:
        scores: [datasets, methods]; a missing number counts as infinitely far.
        distances: in the unit of the scores; by default all at which a share changes.

    Returns:
        A row per distance, a column per method.
    """
    import pandas as pd

    signed = scores.astype(float) * (1.0 if higher_is_better else -1.0)
    behind = signed.rsub(signed.max(axis=1), axis=0)
    known = behind.to_numpy()[np.isfinite(behind.to_numpy())]
    steps = np.unique(np.round(known, 9)) if distances is None else np.asarray(distances, dtype=float)
    shares = [(behind <= step + 1e-9).mean() for step in steps]
    return pd.DataFrame(shares, index=pd.Index(steps, name="distance"))
