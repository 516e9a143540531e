"""CMA-ES, whose state grows with every generation: rebuilt by asking again, since loading it would execute code.

Optuna keeps the state pickled in its trials. Here nothing of it is recorded: a study in memory is asked for the
settings 0, 1, ... in number order, each with a seed of its own, and told before each what that one learns from.
"""

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from study.search.space import Params, Space, count_of
from study.search.translation import decoded, encoded, import_optuna, optuna_distributions, sampler_seed
from study.spec.tune import Choice
from trainables.errors import ConfigError

MISSING = 'needs the package cmaes, which is not installed; install it with: pip install "dml-study[cmaes]"'

_KEPT = 128
"""Searches whose study in memory is gone on with; one that is dropped is asked again from setting 0."""


def installed() -> bool:
    """Whether the package cmaes is there; it is not imported."""
    return find_spec("cmaes") is not None


def evolving(space: Space) -> list[str]:
    """Keys that CMA-ES adapts: ranges of more than one value. Optuna draws all others at random."""
    return [
        key
        for key, distribution in space.distributions()
        if not isinstance(distribution, Choice) and count_of(distribution) != 1
    ]


def first_adapted(space: Space, window: int) -> int:
    """Number of the first setting that has learnt: the settings 0 to window - 1 are drawn at random, those after them
    are the first generation, and so many as CMA-ES wants of a generation have to be finished."""
    population = 4 + math.floor(3 * math.log(len(evolving(space))))
    return 2 * window - 1 + population


def evolved(
    space: Space, *, scope: Sequence[int | str], finished: Sequence[tuple[Params, float]], running: Sequence[Params]
) -> dict[str, Any]:
    """The setting after those that are finished and running, of Optuna's `CmaEsSampler`.

    Args:
        space: the tuned keys, one of them evolving at least.
        scope: what the random numbers belong to.
        finished: settings in number order with their scores, which count by their order alone.
        running: settings under way. They are not looked at, but each was proposed when so many were under way.

    Raises:
        ConfigError: cmaes is not installed.
    """
    if not installed():
        raise ConfigError(f"sampler 'cmaes' {MISSING}")
    settings = [encoded(space, params) for params in (*(params for params, _ in finished), *running)]
    replay = _replay(json.dumps(space.record(), sort_keys=True), tuple(scope))
    return decoded(space, replay.proposed(optuna_distributions(space), settings, [score for _, score in finished]))


class _Replay:
    """A study in memory that was asked for the settings of one search, as far as it came."""

    def __init__(self, scope: Sequence[int | str]) -> None:
        self._scope = scope
        self._begin()

    def proposed(
        self, distributions: dict[str, Any], settings: Sequence[dict[str, Any]], scores: Sequence[float]
    ) -> dict[str, Any]:
        """The setting after all these; from the first one on where another history was replayed before."""
        under_way = len(settings) - len(scores)
        if not self._leads_to(settings, scores, under_way):
            self._begin()
        for number in range(len(self._asked), len(settings) + 1):
            self._tell(scores[: max(0, number - under_way)])
            self._ask(distributions, settings[number] if number < len(settings) else None)
        return self._asked[-1]

    def _begin(self) -> None:
        self._study = import_optuna().create_study(direction="maximize")
        self._asked: list[dict[str, Any]] = []
        self._told: list[float] = []

    def _leads_to(self, settings: Sequence[dict[str, Any]], scores: Sequence[float], under_way: int) -> bool:
        asked, told = len(self._asked), len(self._told)
        return (
            asked <= len(settings)
            and told == max(0, asked - 1 - under_way)
            and self._asked == list(settings[:asked])
            and self._told == list(scores[:told])
        )

    def _tell(self, scores: Sequence[float]) -> None:
        for number in range(len(self._told), len(scores)):
            self._study.tell(number, scores[number])
            self._told.append(scores[number])

    def _ask(self, distributions: dict[str, Any], recorded: dict[str, Any] | None) -> None:
        """Asks for the next setting; where one is recorded, the state goes on with that one."""
        self._study.sampler = import_optuna().samplers.CmaEsSampler(
            seed=sampler_seed(self._scope, len(self._asked)), warn_independent_sampling=False
        )
        if recorded is not None:
            self._study.enqueue_trial(recorded)
        trial = self._study.ask(distributions)
        trial.relative_params  # noqa: B018 - with recorded values the sampler is only asked here
        self._asked.append(recorded or dict(trial.params))


@lru_cache(maxsize=_KEPT)
def _replay(space: str, scope: tuple[int | str, ...]) -> _Replay:
    return _Replay(scope)
