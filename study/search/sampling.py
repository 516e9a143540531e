"""What the next setting of a search is: a function of its number, the values before it, and nothing else."""

import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any, NamedTuple

from study.search.evolution import evolved
from study.search.objectives import Traded
from study.search.space import Params, Space, count_of
from study.search.translation import decoded, encoded, import_optuna, optuna_distributions, sampler_seed
from study.spec.tune import Choice, Distribution
from trainables.errors import ConfigError
from trainables.seeds import derive_seed

SAMPLERS = ("tpe", "gp", "random", "qmc", "cmaes")
"""Samplers that can be asked."""


class Pruned(NamedTuple):
    """Where a setting stood when it was stopped: a score (larger is better) after so many epochs."""

    epoch: int
    score: float


Score = float | Pruned | Traded


def suggest(
    space: Space,
    *,
    sampler: str,
    scope: Sequence[int | str],
    number: int,
    finished: Sequence[tuple[Params, Score]],
    running: Sequence[Params],
) -> dict[str, Any]:
    """Setting `number` of a search.

    Args:
        space: the tuned keys.
        sampler: one of `SAMPLERS`.
        scope: what the random numbers belong to: a base seed and the search's cell.
        number: of the setting, from 0.
        finished: settings that the sampler learns from, in number order, with their scores (larger is better; NaN for
            one that failed). TPE ranks stopped ones below all others, by epoch and then by score, as Optuna does with
            trials of its own pruners (`TPESampler`); the Gaussian process and CMA-ES, which know no such rank, take the
            worst. With a cost beside it (`Traded`), TPE and the Gaussian process look for the best trade-offs.
        running: the settings between those and this one; their scores are not looked at, known or not.

    Raises:
        ConfigError: no such sampler, or a package that it needs is not installed.
    """
    if sampler == "qmc":
        return _quasi_random(space, derive_seed(int(scope[0]), *scope[1:]), number)
    if sampler not in SAMPLERS:
        raise ConfigError(f"sampler '{sampler}' is not available; take one of {', '.join(SAMPLERS)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls what is used here experimental
        if sampler == "cmaes":
            ranked = [(params, _finite(score, -math.inf)) for params, score in finished]
            return evolved(space, scope=scope, finished=ranked, running=running)
        return _asked(space, _sampler(sampler, sampler_seed(scope, number)), finished, running)


def versions(sampler: str) -> dict[str, str]:
    """Of the packages that a sampler needs, for the record; empty text where one is not installed."""
    return {name: _version(name) for name in ("optuna", *(["cmaes"] if sampler == "cmaes" else []))}


def worst(scores: Sequence[float]) -> float:
    """What a failed setting counts for: the worst finite score, for Optuna refuses NaN."""
    return min((score for score in scores if math.isfinite(score)), default=0.0)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _sampler(name: str, seed: int) -> Any:
    optuna = import_optuna()
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "gp":
        import torch  # noqa: F401 - before its threads are counted

        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _asked(
    space: Space,
    sampler: Any,
    finished: Sequence[tuple[Params, Score]],
    running: Sequence[Params],
) -> dict[str, Any]:
    """Asks a sampler about a fresh study in memory that holds what is known."""
    optuna = import_optuna()
    distributions = optuna_distributions(space)
    scores = [score for _, score in finished]
    traded = any(isinstance(score, Traded) for score in scores)
    study = optuna.create_study(directions=["maximize", "minimize"] if traded else ["maximize"], sampler=sampler)
    endings = _endings(scores, ranks=isinstance(sampler, optuna.samplers.TPESampler))
    for (params, _), ending in zip(finished, endings, strict=True):
        study.add_trial(optuna.trial.create_trial(params=encoded(space, params), distributions=distributions, **ending))
    for params in running:
        study.add_trial(
            optuna.trial.create_trial(
                params=encoded(space, params), distributions=distributions, state=optuna.trial.TrialState.RUNNING
            )
        )
    with _one_thread():
        return decoded(space, study.ask(distributions).params)


def _endings(scores: Sequence[Score], *, ranks: bool) -> Iterator[dict[str, Any]]:
    """How trials ended: with values, the worst finite ones where there are none; stopped ones as Optuna ranks them."""
    traded = [score for score in scores if isinstance(score, Traded)]
    lowest = worst(
        [score[0] if isinstance(score, Traded) else score for score in scores if not isinstance(score, Pruned)]
    )
    dearest = -worst([-score.cost for score in traded])
    for score in scores:
        if isinstance(score, Traded):
            yield {"values": [_finite(score.score, lowest), _finite(score.cost, dearest)]}
        elif isinstance(score, Pruned) and ranks:
            yield _pruned(score)
        else:
            yield {"value": _finite(score, lowest)}


def _pruned(score: Pruned) -> dict[str, Any]:
    return {"state": import_optuna().trial.TrialState.PRUNED, "intermediate_values": {score.epoch: score.score}}


def _finite(score: Score, lowest: float) -> float:
    return lowest if isinstance(score, tuple) or not math.isfinite(score) else score


@contextmanager
def _one_thread() -> Iterator[None]:
    """The Gaussian process computes with torch, whose sums depend on the number of threads."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _quasi_random(space: Space, seed: int, number: int) -> dict[str, Any]:
    """Point `number` of a scrambled Sobol sequence: it depends on nothing before it."""
    import numpy as np
    from scipy.stats import qmc

    sequence = qmc.Sobol(d=len(space.dimensions), scramble=True, seed=np.random.default_rng(seed))
    if number:
        sequence.fast_forward(number)
    point = sequence.random(1)[0]
    drawn = zip(space.distributions(), point.tolist(), strict=True)
    return {key: _at(distribution, share) for (key, distribution), share in drawn}


def _at(distribution: Distribution, share: float) -> Any:
    """The value below which a share of the distribution lies."""
    count = count_of(distribution)
    if isinstance(distribution, Choice):
        return distribution.values[min(int(share * len(distribution.values)), len(distribution.values) - 1)]
    low, high = distribution.min, distribution.max
    if distribution.distribution == "logint":
        return min(high, max(low, round(math.exp(_between(math.log(low - 0.5), math.log(high + 0.5), share)))))
    if count is not None:
        return low + min(int(share * count), count - 1) * (distribution.step or 1)
    if distribution.distribution == "loguniform":
        return min(high, max(low, math.exp(_between(math.log(low), math.log(high), share))))
    return _between(low, high, share)


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)
