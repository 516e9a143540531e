"""A spec after reading: typed, checked for itself, every value with its source. The plan turns it into runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.costs.budget import Budget
from study.spec.errors import Place
from study.spec.model import Resources, Stages, TuneStage, UntilSettled
from study.spec.settings import Setting
from study.spec.tune import Dimension

UNTRAINED = "untrained"
"""Name of the automatic first row."""


@dataclass(frozen=True)
class Method:
    """A named recipe. `settings` are those of its `extends` chain first, in the order in which they apply; `label` is
    what tables call it."""

    name: str
    settings: tuple[Setting, ...]
    baseline: str | None
    tune: Mapping[str, Dimension]
    resources: Resources
    place: Place
    label: str | None = None


@dataclass(frozen=True)
class AxisValue:
    """One value of an axis: what tables call it, and what it sets."""

    label: Any
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Axis:
    """A compared key. An axis over whole sections (`loss`) has an empty path."""

    key: str
    section: str
    path: tuple[str, ...]
    values: tuple[AxisValue, ...]
    place: Place


@dataclass(frozen=True)
class Condition:
    """Keys with the values that fit: all keys have to, one value of each is enough."""

    keys: tuple[tuple[str, tuple[Any, ...]], ...]
    place: Place

    def __str__(self) -> str:
        return ", ".join(f"{key}: {values[0] if len(values) == 1 else list(values)}" for key, values in self.keys)


@dataclass(frozen=True)
class Rule:
    """Settings for the cells that fit a condition.

    Attributes:
        number: from 1, in its file.
        inherited: of an extended file; it may fit no cell.
        is_default: of an extended file without methods, a protocol: it counts like that file's settings, and what the
            spec, a method or an axis says wins.
    """

    condition: Condition
    settings: tuple[Setting, ...]
    number: int = 1
    inherited: bool = False
    is_default: bool = False


@dataclass(frozen=True)
class Claim:
    """`better > worse on metric`."""

    better: str
    worse: str
    metric: str
    place: Place


@dataclass(frozen=True)
class Replication:
    """Seeds and folds of every cell, where they are written, and the rule by which fewer seeds may do."""

    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    seeds_place: Place
    folds_place: Place
    until_settled: UntilSettled | None = None


@dataclass(frozen=True)
class Spec:
    """One study.

    Attributes:
        path: the spec file as it was given.
        base: settings for all methods: those of the extended files first, then the spec's own.
        extended: how many settings of `base` are those of extended files.
        overrides: settings from the command line, which beat everything.
        resources: of one trial; its place is `resources_place`.
        plugins: Python files that were loaded first and that every worker needs too.
        tune_places: where the keys of stages.tune stand.
    """

    study: str
    description: str
    path: Path
    base: tuple[Setting, ...]
    methods: tuple[Method, ...]
    axes: tuple[Axis, ...]
    rules: tuple[Rule, ...]
    exclude: tuple[Condition, ...]
    overrides: tuple[Setting, ...]
    replication: Replication
    resources: Resources
    resources_place: Place
    stages: Stages
    claims: tuple[Claim, ...]
    budget: Budget
    untrained: bool
    plugins: tuple[Path, ...] = ()
    extended: int = 0
    tune_places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def tune_stage(self) -> TuneStage:
        """How tuned methods are searched: what `stages.tune` says, or its defaults."""
        return self.stages.tune or TuneStage()

    def tune_place(self, key: str) -> Place:
        """Where a key of stages.tune stands; the spec where it does not."""
        return self.tune_places.get(key, Place(str(self.path)))

    @property
    def needs_search(self) -> tuple[str, ...]:
        """Methods with a search space, in order."""
        return tuple(method.name for method in self.methods if method.tune)
