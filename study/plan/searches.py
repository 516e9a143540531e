"""Tuned methods in a plan: the search of every cell of theirs, and the cell that a finished search leaves."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from study.plan.configs import Configs, run_config
from study.plan.grid import Draft
from study.plan.layers import Sections, applied
from study.plan.plan import PlannedRun
from study.plan.search_checks import check_space, check_stage
from study.plan.untrained import Made
from study.search import evolution
from study.search.candidate import Candidate
from study.search.cell import SearchCell, cell_id
from study.search.history import History
from study.search.search import Search
from study.search.space import Params, Space
from study.search.stopping import ray_scheduler
from study.spec.errors import Place, Problems
from study.spec.spec import Method, Spec
from study.spec.tune import Dimension
from trainables.config import IDENTITY_VERSION, Keep, RunConfig
from trainables.errors import ConfigError
from trainables.parts import identity

_MEASURE = ("dataset", "protocol", "keep")
"""Sections that say what is measured and how: their values are not comparable."""


def check_searches(spec: Spec, problems: Problems) -> None:
    """Adds a problem for everything about tuned methods that cannot be done."""
    tuned = [method for method in spec.methods if method.tune]
    if not tuned:
        return
    check_stage(spec, problems)
    for method in tuned:
        _check_keys(spec, method, problems)


def _check_keys(spec: Spec, method: Method, problems: Problems) -> None:
    overridden = {setting.key for setting in spec.overrides}
    for key, dimension in method.tune.items():
        where = f"methods.{method.name}.tune.{key}"
        if key.split(".")[0] in _MEASURE:
            text = "says what is measured, so its values are not comparable; write them under compare"
            problems.add(dimension.place, where, text)
        if key in overridden:
            text = f"is tuned by method '{method.name}' ({dimension.place}); narrow its space: --set '{where}=[...]'"
            problems.add(Place("--set"), key, text)


def with_searches(
    spec: Spec, drafts: Sequence[Draft], *, configs: Configs, history: History, problems: Problems
) -> tuple[list[Draft], list[Search]]:
    """Drafts that can be trained by now, those of finished searches with what was chosen, and all searches."""
    ready: list[Draft] = []
    searches: list[Search] = []
    for draft in drafts:
        dimensions = {key: each for key, each in draft.method.tune.items() if _has(draft.sections, key)}
        if not dimensions:
            ready.append(draft)
            continue
        space = Space.of(dimensions)
        _check_rules(draft, dimensions, problems)
        check_space(spec, draft.method, space, problems)
        cell = _Tuned(spec, draft, space, configs).cell(problems)
        if cell is None:
            continue
        search = history.search(cell)
        searches.append(search)
        if search.chosen is not None:
            ready.append(_chosen(draft, search, search.chosen))
    return ready, searches


def _check_rules(draft: Draft, dimensions: Mapping[str, Dimension], problems: Problems) -> None:
    """A rule beats all else, and a search would beat it."""
    for key, dimension in dimensions.items():
        section, _, path = key.partition(".")
        setting = draft.sections[section].source(path)
        if setting is not None and re.fullmatch(r"rule \d+", setting.source.layer):
            text = f"is set by {setting.source.layer} ({setting.source.place}) in this cell; take one of the two away"
            problems.add(dimension.place, f"methods.{draft.method.name}.tune.{key}", text)


def waiting_methods(searches: Sequence[Search]) -> frozenset[str]:
    """Methods with a search that has not chosen yet."""
    return frozenset(search.cell.method for search in searches if search.chosen is None)


def without_waiting(cells: Sequence[Made], waiting: frozenset[str]) -> list[Made]:
    """The cells without those that learn from a method that is still searched, directly or not."""
    while True:
        students = {cell.method for cell in cells if _teacher(cell.config) in waiting} - waiting
        if not students:
            return [cell for cell in cells if _teacher(cell.config) not in waiting]
        waiting |= students


def search_advice(searches: Sequence[Search]) -> Iterator[str]:
    """What is allowed and probably not meant."""
    names = {name for search in searches if (name := ray_scheduler(search.cell.stage.scheduler))}
    for name in names:
        yield (
            f"Ray Tune's {name} stops runs by when they report, so this search may stop, propose and choose otherwise "
            "another time; `scheduler: halving` and `asha` can be repeated"
        )
    for search in searches:
        size = search.cell.space.size
        if size is not None and size < search.trials:
            yield (
                f"the space of '{search.cell.title}' has {size} settings, fewer than its {search.trials} trials; "
                "a setting that comes again costs nothing"
            )
        if unadapted := _unadapted(search):
            yield unadapted
        if search.cell.stage.cost == "embedding_dim" and "embedding_dim" not in search.cell.space.keys:
            yield f"all settings of '{search.cell.title}' have the same cost: embedding_dim is not tuned"
        if unstopped := _unstopped(search):
            yield f"no run of '{search.cell.title}' can be stopped early: {unstopped}"
        if search.replicates.rule is not None and search.trials <= search.cell.stage.window:
            yield (
                f"no setting of '{search.cell.title}' can skip replicates: the first {search.cell.stage.window} "
                f"(window) have none to be compared with, and there are {search.trials} trials"
            )
        if search.over and search.chosen is None:
            reason = next((each.error for each in search.candidates if each.error), "see `dml-study status`")
            yield f"no setting of '{search.cell.title}' could be trained: {reason}"


def _unadapted(search: Search) -> str:
    """Whether CMA-ES ends before it has learnt."""
    if search.cell.stage.sampler != "cmaes":
        return ""
    first, window = evolution.first_adapted(search.cell.space, search.cell.stage.window), search.cell.stage.window
    if search.trials > first:
        return ""
    return (
        f"no setting of '{search.cell.title}' learns from others: with window {window}, setting {first} is the first "
        f"that CMA-ES adapts, and there are {search.trials} trials; take more, or a smaller window"
    )


def _unstopped(search: Search) -> str:
    """Why a scheduler has nothing to do."""
    rule, window = search.stops.rule, search.cell.stage.window
    if rule is None:
        return ""
    whole = window + rule.minimum - 1
    if search.trials <= whole:
        return (
            f"the first {whole} settings train to the end (window {window}, then {rule.minimum} to compare with), and "
            f"there are {search.trials} trials; take more, or a smaller window"
        )
    runs = (run for candidate in search.candidates for run in candidate.runs)
    first = next(runs, None)
    if first is None or rule.rungs(first.config):
        return ""
    epochs = first.config.training.epochs
    return f"{epochs} epochs leave no evaluation to judge it by before the last epoch and after the warm-up"


def _teacher(config: RunConfig) -> str:
    parent = config.strategy.parent
    return "" if parent is None else parent.method


def _has(sections: Sections, key: str) -> bool:
    section, *path = key.split(".")
    return sections[section].has(tuple(path))


def _chosen(draft: Draft, search: Search, chosen: Candidate) -> Draft:
    value = search.value(chosen)
    layer = f"search, setting {chosen.number} of {search.trials}, val_{search.cell.select_by} {value:.4f}"
    if (cost := search.cost(chosen)) is not None:
        layer += f", {search.cell.stage.cost} {cost:.6g}"
    return replace(draft, sections=applied(draft.sections, search.cell.space.settings(chosen.params, layer)))


class _Tuned:
    """One cell of a tuned method."""

    def __init__(self, spec: Spec, draft: Draft, space: Space, configs: Configs) -> None:
        self.stage, self.folds = spec.tune_stage, spec.replication.folds
        self.draft, self.space, self.configs = draft, space, configs
        self.device = draft.method.resources.device

    def cell(self, problems: Problems) -> SearchCell | None:
        """The search; None, and a problem, where it cannot be."""
        parts = self._parts(self.space.corners()[0], self.configs)
        if any(part is None for part in parts.values()):
            return None
        if wrong := _refusal(parts) or self.draft.method.resources.refused_threads(parts["training"].threads):
            problems.add(self.draft.method.place, f"methods.{self.draft.method.name}.tune", wrong)
            return None
        axes = self.draft.axes
        return SearchCell(
            method=self.draft.method.name,
            axes=axes if "dataset" in axes else {"dataset": parts["dataset"].title, **axes},
            cell_id=cell_id(self._base(parts), space=self.space, stage=self.stage, folds=self.folds),
            space=self.space,
            stage=self.stage,
            folds=self.folds,
            protocol=parts["protocol"],
            resources=self.draft.method.resources,
            runs=self.runs,
            fits=lambda fits: fits(self.draft.method.name, axes, self.draft.sections),
        )

    def runs(self, params: Params) -> tuple[PlannedRun, ...]:
        """The runs of one setting: validation classes alone, nothing kept.

        Raises:
            ConfigError: the values cannot stand together.
        """
        configs = self.configs.apart()
        parts = self._parts(params, configs)
        if configs.problems.found or any(part is None for part in parts.values()):
            raise ConfigError(configs.problems.found[0].message if configs.problems.found else "a value cannot be")
        seeds, folds = self.stage.seeds, self.folds
        try:
            config = run_config(parts, seed=seeds[0], fold=folds[0], device=self.device)
        except ValidationError as error:
            text = error.errors(include_url=False)[0]["msg"]
            raise ConfigError(text.removeprefix("Value error, ")) from error
        config = config.model_copy(update={"stage": "tune"})
        replicates = self.configs.identities.replicates(config, seeds, folds)
        return tuple(
            PlannedRun(each.run_id, each.seed, each.fold, self.draft.method.resources, (), config)
            for each in replicates
        )

    def _parts(self, params: Params, configs: Configs) -> dict[str, Any]:
        """Configurations of all sections, as the tune stage has them."""
        sections = applied(self.draft.sections, self.space.settings(params, "tune"))
        parts = {kind: configs.config(section) for kind, section in sections.items()}
        if parts["protocol"] is not None:
            parts["protocol"] = parts["protocol"].model_copy(update={"test": "never", "refit": False, "readout": ()})
        return {**parts, "keep": Keep()}

    def _base(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """What the search depends on besides its space, as canonical values."""
        base: dict[str, Any] = {"identity": IDENTITY_VERSION, "device": self.device}
        for kind, part in parts.items():
            base[kind] = identity(part) if isinstance(part, BaseModel) else part
        for key in self.space.keys:
            _remove(base, key.split("."))
        return {kind: content for kind, content in base.items() if content != {}}


def _refusal(parts: Mapping[str, Any]) -> str | None:
    if parts["protocol"].selection == "last":
        return (
            "settings are chosen on validation classes, and `protocol.selection: last` has none; "
            "set it to best_validation"
        )
    parent = parts["strategy"].parent
    if parent is not None and parent.method:
        return (
            f"a tuned method cannot learn from '{parent.method}', which is not trained with the seeds of stages.tune; "
            "give it a finished teacher (`teacher: {run: ..}` or `{weights: ..}`), or compare its values instead"
        )
    return None


def _remove(content: dict[str, Any], path: Sequence[str]) -> None:
    *above, last = path
    for key in above:
        if not isinstance(content.get(key), dict):
            return
        content[key] = content = dict(content[key])
    content.pop(last, None)
