"""From layered sections to typed configurations, each distinct one validated and looked up on disk once."""

import json
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from study.plan.identity import Identities
from study.plan.layers import Section
from study.spec import sections
from study.spec.checks import message
from study.spec.errors import Place, Problems
from study.spec.spec import Replication
from trainables.backbones.config import BackboneConfig
from trainables.config import RunConfig
from trainables.datasets.config import DatasetConfig
from trainables.datasets.source import Progress
from trainables.errors import DataError
from trainables.strategies.config import StrategyConfig

_FILE_KEYS = {"dataset": "path", "backbone": "weights", "strategy": "teacher"}
"""Sections that may name files, and the key that does."""


class Resolver(Protocol):
    """Finds what a configuration refers to on disk, and fills in paths and content revisions."""

    def dataset(self, config: DatasetConfig) -> DatasetConfig: ...

    def backbone(self, config: BackboneConfig) -> BackboneConfig: ...

    def strategy(self, config: StrategyConfig) -> StrategyConfig: ...


class FileResolver:
    """Looks beside the spec, in $DML_STUDY_DATA, and in ./data."""

    def __init__(self, spec_folder: Path, cache: Path | None, progress: Progress | None = None) -> None:
        from trainables.datasets import catalog

        self.search = catalog.data_folders(spec_folder)
        self.cache = cache or catalog.cache_folder()
        self.progress = progress

    def dataset(self, config: DatasetConfig) -> DatasetConfig:
        from trainables.datasets import catalog

        return catalog.resolve(config, search=self.search, cache=self.cache, progress=self.progress)

    def backbone(self, config: BackboneConfig) -> BackboneConfig:
        from trainables.backbones import weights

        return weights.resolve(config, search=self.search, cache=self.cache)

    def strategy(self, config: StrategyConfig) -> StrategyConfig:
        from trainables.strategies import parents

        if config.parent is None:
            return config
        return config.with_parent(parents.resolve(config.parent, search=self.search, cache=self.cache))


class NoFiles:
    """Looks nothing up; placeholders keep different files apart."""

    def dataset(self, config: DatasetConfig) -> DatasetConfig:
        path = getattr(config, "path", "")
        return config if config.revision else config.model_copy(update={"revision": f"unresolved {path}".strip()})

    def backbone(self, config: BackboneConfig) -> BackboneConfig:
        if config.weights is None or config.weights_revision:
            return config
        return config.model_copy(update={"weights_revision": f"unresolved {config.weights}"})

    def strategy(self, config: StrategyConfig) -> StrategyConfig:
        parent = config.parent
        if parent is None or not parent.weights or parent.weights_revision:
            return config
        return config.with_parent(parent.model_copy(update={"weights_revision": f"unresolved {parent.weights}"}))


class Configs:
    """Typed configurations of sections; equal values share one object."""

    def __init__(self, replication: Replication, resolver: Resolver, problems: Problems) -> None:
        self.replication = replication
        self.resolver = resolver
        self.problems = problems
        self.identities = Identities()
        self._by_section: dict[Section, Any] = {}
        self._by_value: dict[str, Any] = {}

    def apart(self) -> "Configs":
        """The same configurations, with problems of their own."""
        other = copy(self)
        other.problems = Problems()
        return other

    def config(self, section: Section) -> Any:
        """The section's configuration; None, and a problem, where a value is wrong."""
        if section not in self._by_section:
            self._by_section[section] = self._shared(section)
        return self._by_section[section]

    def _shared(self, section: Section) -> Any:
        text = json.dumps([section.kind, section.name, section.values], sort_keys=True)
        if text not in self._by_value:
            config = self._by_value[text] = self._made(section)
            if isinstance(config, BaseModel):
                self.identities.remember(config)
        return self._by_value[text]

    def _made(self, section: Section) -> Any:
        try:
            config = sections.validate_section(section.kind, section.name, section.values)
        except ValidationError as error:
            self._report(section, error)
            return None
        if section.kind == "protocol":
            self._check_folds(config.validation_folds)
        return self._resolved(section, config)

    def _resolved(self, section: Section, config: Any) -> Any:
        try:
            resolve = getattr(self.resolver, section.kind) if section.kind in _FILE_KEYS else None
            return config if resolve is None else resolve(config)
        except DataError as error:
            place, key = self._where(section, _FILE_KEYS[section.kind])
            self.problems.add(place, key, str(error))
            return None

    def _report(self, section: Section, error: ValidationError) -> None:
        owner = sections.owner(section.kind, section.name) or RunConfig
        for details in error.errors(include_url=False):
            loc = details["loc"]
            place, key = self._where(section, str(loc[0]) if loc else "name")
            text = f"{loc[0]} is missing" if details["type"] == "missing" else message(details, owner)
            self.problems.add(place, key, text)

    def _where(self, section: Section, key: str) -> tuple[Place, str]:
        setting = section.source(key) or section.source("name") or next(iter(section.settings), None)
        if setting is None:
            return Place("the defaults"), section.kind
        return setting.source.place, setting.source.key

    def _check_folds(self, validation_folds: int) -> None:
        highest = max(self.replication.folds)
        if highest >= validation_folds:
            text = f"fold {highest} does not exist with {validation_folds} protocol.validation_folds (0 to {{}})"
            place = self.replication.folds_place
            self.problems.add(place, "replicates.folds", text.format(validation_folds - 1))


def run_config(parts: Mapping[str, Any], *, seed: int, fold: int, device: str) -> RunConfig:
    """A run from the configurations of its sections; folds are checked with the protocol.

    Raises:
        ValidationError: sections that are right for themselves and contradict each other.
    """
    run = RunConfig.model_validate({**parts, "seed": seed, "device": device})
    return run.model_copy(update={"fold": fold}) if fold else run
