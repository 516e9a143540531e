"""Where every value of a cell comes from."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from study.plan.build import build_plan
from study.plan.layers import Section
from study.plan.plan import Cell, Plan
from study.plan.select import one_cell
from study.spec.settings import Source
from study.spec.spec import Spec

Explained = tuple[str, Any, str]
"""(key, value, source)."""


def explain(plan: Plan | Spec, cell: str) -> list[Explained]:
    """Every value of a cell's configuration with its source: "default", "settings (spec.yaml:12)", "rule 2 (...)".

    Raises:
        ConfigError: `cell` names no cell or several.
    """
    if isinstance(plan, Spec):
        plan = build_plan(plan, resolve_data=False)
    return list(_explained(plan, plan.cells[one_cell(plan, cell)]))


def _explained(plan: Plan, cell: Cell) -> Iterator[Explained]:
    for kind, section in cell.sections.items():
        value = getattr(cell.config, kind)
        if not isinstance(value, BaseModel):
            yield kind, value, _source(section, "")
            continue
        for key in type(value).model_fields:
            yield from _leaves(f"{kind}.{key}", getattr(value, key), _field_source(section, key, value))
    replication = plan.spec.replication
    yield "seed", list(replication.seeds), str(Source("replicates", replication.seeds_place))
    yield "fold", list(replication.folds), str(Source("replicates", replication.folds_place))
    yield "stage", cell.config.stage, "default"
    yield "device", cell.config.device, str(Source("resources", plan.spec.resources_place))


def _field_source(section: Section, key: str, config: BaseModel) -> str:
    """A value that nobody wrote and that is not the default was found on disk."""
    setting = section.source(key)
    default = type(config).model_fields[key].default
    if setting is None and key != "name" and getattr(config, key) != default:
        return "content of the files"
    return _source(section, key)


def _source(section: Section, key: str) -> str:
    setting = section.source(key)
    return "default" if setting is None else str(setting.source)


def _leaves(key: str, value: Any, source: str) -> Iterator[Explained]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves(f"{key}.{name}", getattr(value, name), source)
    else:
        yield key, value, source
