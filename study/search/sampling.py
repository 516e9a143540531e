"""What the next setting of a search is: a function of its number, the values before it, and nothing else."""

import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from study.search.space import Params, Space, count_of
from study.spec.tune import Choice, Distribution, IntegerRange, Range
from trainables.errors import ConfigError
from trainables.seeds import derive_seed

SAMPLERS = ("tpe", "gp", "random", "qmc")
"""Samplers that can be asked. CMA-ES would need its own pickled state in the results folder."""

_LEGACY_SEEDS = 2**32
"""numpy's older generators, which Optuna uses, take seeds below."""


class Pruned(NamedTuple):
    """Where a setting stood when it was stopped: a score (larger is better) after so many epochs."""

    epoch: int
    score: float


Score = float | Pruned


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
            trials of its own pruners (`TPESampler`); the Gaussian process, which knows no such rank, takes the worst.
        running: the settings between those and this one; their scores are not looked at, known or not.

    Raises:
        ConfigError: no such sampler, or Optuna is not installed.
    """
    if sampler == "qmc":
        return _quasi_random(space, derive_seed(int(scope[0]), *scope[1:]), number)
    if sampler not in SAMPLERS:
        raise ConfigError(f"sampler '{sampler}' is not available; take one of {', '.join(SAMPLERS)}")
    seed = derive_seed(int(scope[0]), *scope[1:], number) % _LEGACY_SEEDS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls what is used here experimental
        return _asked(space, _sampler(sampler, seed), finished, running)


def worst(scores: Sequence[float]) -> float:
    """What a failed setting counts for: the worst finite score, for Optuna refuses NaN."""
    return min((score for score in scores if math.isfinite(score)), default=0.0)


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
    distributions = {key: _distribution(distribution) for key, distribution in space.distributions()}
    study = optuna.create_study(direction="maximize", sampler=sampler)
    lowest = worst([score for _, score in finished if not isinstance(score, Pruned)])
    ranks = isinstance(sampler, optuna.samplers.TPESampler)
    for params, score in finished:
        ending = _pruned(score) if isinstance(score, Pruned) and ranks else {"value": _finite(score, lowest)}
        study.add_trial(
            optuna.trial.create_trial(params=_encoded(space, params), distributions=distributions, **ending)
        )
    for params in running:
        study.add_trial(
            optuna.trial.create_trial(
                params=_encoded(space, params), distributions=distributions, state=optuna.trial.TrialState.RUNNING
            )
        )
    with _one_thread():
        return _decoded(space, study.ask(distributions).params)


def _pruned(score: Pruned) -> dict[str, Any]:
    return {"state": import_optuna().trial.TrialState.PRUNED, "intermediate_values": {score.epoch: score.score}}


def _finite(score: Score, lowest: float) -> float:
    return lowest if isinstance(score, Pruned) or not math.isfinite(score) else score


def import_optuna() -> Any:
    """The package, which says nothing but errors.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"a search needs the package optuna ({error}): pip install 'optuna>=4.5,<6'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


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


def _distribution(distribution: Distribution) -> Any:
    if isinstance(distribution, Choice):
        return import_optuna().distributions.CategoricalDistribution(tuple(range(len(distribution.values))))
    return optuna_range(distribution)


def optuna_range(distribution: Range | IntegerRange) -> Any:
    """Optuna's distribution of numbers between two bounds."""
    kinds = import_optuna().distributions
    log = distribution.distribution.startswith("log")
    if isinstance(distribution.min, int):
        return kinds.IntDistribution(distribution.min, distribution.max, log=log, step=distribution.step or 1)
    return kinds.FloatDistribution(distribution.min, distribution.max, log=log, step=distribution.step)


def _encoded(space: Space, params: Params) -> dict[str, Any]:
    """Choices by their position: Optuna knows numbers and text, a choice may be anything."""
    return {key: _position(distribution, params[key]) for key, distribution in space.distributions()}


def _position(distribution: Distribution, value: Any) -> Any:
    return distribution.values.index(value) if isinstance(distribution, Choice) else value


def _decoded(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {key: params[key] for key in space.keys}
    for key, distribution in space.distributions():
        if isinstance(distribution, Choice):
            chosen[key] = distribution.values[chosen[key]]
    return chosen


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
