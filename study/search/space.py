"""The search space of one cell: which keys are tuned, within which bounds."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from study.spec.settings import Setting, Source
from study.spec.tune import Choice, Dimension, Distribution, IntegerRange

Params = Mapping[str, Any]
"""Value of every tuned key."""


@dataclass(frozen=True)
class Space:
    """Tuned keys with their distributions, sorted by key: the order in a spec changes no suggestion."""

    dimensions: tuple[Dimension, ...]

    @classmethod
    def of(cls, dimensions: Mapping[str, Dimension]) -> "Space":
        """The space of some dimensions."""
        return cls(tuple(dimensions[key] for key in sorted(dimensions)))

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(dimension.key for dimension in self.dimensions)

    def distributions(self) -> Iterator[tuple[str, Distribution]]:
        """Keys with what is drawn for them."""
        return ((dimension.key, dimension.distribution) for dimension in self.dimensions)

    def holds(self, params: Params) -> bool:
        """Whether these are values of the tuned keys, choices among those that there are."""
        return set(params) == set(self.keys) and all(
            not isinstance(distribution, Choice) or params[key] in distribution.values
            for key, distribution in self.distributions()
        )

    @property
    def size(self) -> int | None:
        """Number of distinct settings; None where a key has infinitely many values."""
        counts = [count_of(distribution) for _, distribution in self.distributions()]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def corners(self) -> tuple[Params, Params]:
        """The setting of all first choices and lower bounds, and that of all last choices and upper bounds."""
        ends = {key: _ends(distribution) for key, distribution in self.distributions()}
        return {key: low for key, (low, _) in ends.items()}, {key: high for key, (_, high) in ends.items()}

    def settings(self, params: Params, layer: str) -> tuple[Setting, ...]:
        """A setting of the search as values of a configuration, which come from `layer`."""
        return tuple(_setting(dimension, params[dimension.key], layer) for dimension in self.dimensions)

    def record(self) -> dict[str, Any]:
        """The space as JSON values."""
        return {key: distribution.model_dump(mode="json") for key, distribution in self.distributions()}


def count_of(distribution: Distribution) -> int | None:
    """Number of values; None for infinitely many."""
    if isinstance(distribution, Choice):
        return len(distribution.values)
    if distribution.step is None and not isinstance(distribution, IntegerRange):
        return None
    return int((distribution.max - distribution.min) / (distribution.step or 1) + 1e-9) + 1


def _ends(distribution: Distribution) -> tuple[Any, Any]:
    if isinstance(distribution, Choice):
        return distribution.values[0], distribution.values[-1]
    return distribution.min, distribution.max


def _setting(dimension: Dimension, value: Any, layer: str) -> Setting:
    section, *path = dimension.key.split(".")
    return Setting(section, tuple(path), value, Source(layer, dimension.place, dimension.key))
