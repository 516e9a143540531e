"""The row that every table starts from: the embedding as it is before training."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.plan.identity import Identities, Replicate
from study.plan.layers import Section, Sections, default_sections
from study.spec.errors import Place
from study.spec.model import Resources
from study.spec.settings import Setting, Source
from study.spec.spec import UNTRAINED, Replication
from trainables.config import RunConfig
from trainables.strategies.config import Untrained

SECTIONS = ("dataset", "backbone", "augmentation", "protocol", "training", "keep")
"""What an untrained run depends on; the rest of a method does not reach it."""


@dataclass(frozen=True, slots=True)
class Made:
    """A cell with its configuration; its place in the plan is not known yet."""

    method: str
    axes: Mapping[str, Any]
    sections: Sections
    config: RunConfig
    replicates: tuple[Replicate, ...]
    resources: Resources


def untrained_cells(cells: Sequence[Made], replication: Replication) -> tuple[list[Made], list[str]]:
    """One cell for each dataset and each value of the other axes that change it (a backbone), and warnings.

    An axis matters when two cells of one method that differ in nothing else have different untrained runs.
    """
    rows = _rows(cells, replication)
    matter = {"dataset", *_mattering(cells, rows)}
    result: dict[tuple[Any, ...], Made] = {}
    doubtful: set[str] = set()
    same: dict[tuple[int, int], bool] = {}
    for cell, row in zip(cells, rows, strict=True):
        axes = {key: value for key, value in cell.axes.items() if key in matter}
        first = result.setdefault(_place(axes), _with_axes(row, axes))
        pair = (id(first.config), id(row.config))  # rows of equal sections are one object
        if pair not in same:
            same[pair] = first.replicates == row.replicates or _same_embedding(first.config, row.config)
        if not same[pair]:
            doubtful.add(cell.method)
    return list(result.values()), [_doubt(doubtful, cells[0].method)] if doubtful else []


def _rows(cells: Iterable[Made], replication: Replication) -> list[Made]:
    made: dict[tuple[Any, ...], Made] = {}
    rows = []
    for cell in cells:
        key = (cell.config.device, *(id(getattr(cell.config, section)) for section in SECTIONS))
        if key not in made:
            made[key] = _row(cell, replication)
        rows.append(made[key])
    return rows


def _row(cell: Made, replication: Replication) -> Made:
    kept = {section: getattr(cell.config, section) for section in SECTIONS}
    fixed = {"seed": cell.config.seed, "fold": cell.config.fold, "device": cell.config.device}
    config = RunConfig(strategy=Untrained(), **kept, **fixed)
    nothing = {kind: Section(kind, name=section.name) for kind, section in default_sections().items()}
    return Made(
        method=UNTRAINED,
        axes={},
        sections={**nothing, **{key: cell.sections[key] for key in SECTIONS}, "strategy": _strategy()},
        config=config,
        replicates=Identities().replicates(config, replication.seeds, replication.folds),
        resources=cell.resources,
    )


def _strategy() -> Section:
    source = Source("automatic row, `untrained: true`", Place(""))
    return Section("strategy").after(Setting("strategy", ("name",), UNTRAINED, source, choice=UNTRAINED))


def _mattering(cells: Sequence[Made], rows: Sequence[Made]) -> Iterator[str]:
    if len({row.replicates for row in rows}) == 1:
        return
    for axis in {key for cell in cells for key in cell.axes}:
        seen: dict[tuple[Any, ...], tuple[Replicate, ...]] = {}
        for cell, row in zip(cells, rows, strict=True):
            others = {key: value for key, value in cell.axes.items() if key != axis}
            if axis in cell.axes and seen.setdefault((cell.method, _place(others)), row.replicates) != row.replicates:
                yield axis
                break


def _place(axes: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(axes.items())


def _with_axes(row: Made, axes: Mapping[str, Any]) -> Made:
    return Made(row.method, axes, row.sections, row.config, row.replicates, row.resources)


def _same_embedding(first: RunConfig, other: RunConfig) -> bool:
    """Whether two untrained networks differ in nothing but whether their features are cached."""
    backbone = other.backbone.model_copy(update={"trainable": first.backbone.trainable})
    return first.run_id() == other.model_copy(update={"backbone": backbone}).run_id()


def _doubt(methods: set[str], first: str) -> str:
    names = ", ".join(f"'{name}'" for name in sorted(methods))
    return f"methods start from different embeddings: the untrained row is that of '{first}' and not that of {names}"
