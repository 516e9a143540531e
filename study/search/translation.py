"""A search space and its settings as Optuna has them."""

from collections.abc import Mapping, Sequence
from typing import Any

from study.search.space import Params, Space
from study.spec.tune import Choice, Distribution, IntegerRange, Range
from trainables.errors import ConfigError
from trainables.seeds import derive_seed

_LEGACY_SEEDS = 2**32
"""numpy's older generators, which Optuna uses, take seeds below."""


def import_optuna() -> Any:
    """Optuna, quiet.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"a search needs the package optuna ({error}): pip install 'optuna>=4.5,<6'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def sampler_seed(scope: Sequence[int | str], number: int) -> int:
    """Seed of the sampler that is asked for a setting."""
    return derive_seed(int(scope[0]), *scope[1:], number) % _LEGACY_SEEDS


def optuna_distributions(space: Space) -> dict[str, Any]:
    """Distributions by key."""
    return {key: _distribution(distribution) for key, distribution in space.distributions()}


def encoded(space: Space, params: Params) -> dict[str, Any]:
    """Choices by their position: Optuna knows numbers and text, a choice may be anything."""
    return {key: _position(distribution, params[key]) for key, distribution in space.distributions()}


def decoded(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """The setting that Optuna proposed."""
    chosen = {key: params[key] for key in space.keys}
    for key, distribution in space.distributions():
        if isinstance(distribution, Choice):
            chosen[key] = distribution.values[chosen[key]]
    return chosen


def optuna_range(distribution: Range | IntegerRange) -> Any:
    """Optuna's distribution of numbers between two bounds."""
    kinds = import_optuna().distributions
    log = distribution.distribution.startswith("log")
    if isinstance(distribution.min, int):
        return kinds.IntDistribution(distribution.min, distribution.max, log=log, step=distribution.step or 1)
    return kinds.FloatDistribution(distribution.min, distribution.max, log=log, step=distribution.step)


def _distribution(distribution: Distribution) -> Any:
    if isinstance(distribution, Choice):
        return import_optuna().distributions.CategoricalDistribution(tuple(range(len(distribution.values))))
    return optuna_range(distribution)


def _position(distribution: Distribution, value: Any) -> Any:
    return distribution.values.index(value) if isinstance(distribution, Choice) else value
