"""The cells of a study: methods crossed with the axes that they have."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.plan.layers import Section, Sections, applied, default_sections
from study.plan.match import compiled
from study.spec.sections import is_part
from study.spec.settings import Setting
from study.spec.spec import Axis, Method, Spec

Chosen = tuple[tuple[Axis, int], ...]
"""Axes with the index of the value that stands on each."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A cell before its configuration is checked."""

    method: Method
    axes: Mapping[str, Any]
    sections: Sections


@dataclass
class Grid:
    """All cells, and what of the spec touched none of them.

    Attributes:
        excluded: number of cells that `exclude` took out.
        idle_rules, idle_exclusions: indices of those that fit no cell.
        parts: names of the parts that stand in a method's sections, by (method, section).
        crossed: keys of the axes that some method has.
    """

    drafts: list[Draft]
    excluded: int
    idle_rules: list[int]
    idle_exclusions: list[int]
    parts: dict[tuple[str, str], set[str]]
    crossed: set[str]


class GridBuilder:
    """Crosses methods and axes; applies axes, rules and overrides in this order.

    Rules of a protocol, an extended file without methods, look at the cell and apply right after what is extended.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        compiled_rules = [(number, compiled(rule.condition), rule) for number, rule in enumerate(spec.rules)]
        self.defaults = [entry for entry in compiled_rules if entry[2].is_default]
        self.rules = [entry for entry in compiled_rules if not entry[2].is_default]
        self.extended = applied(default_sections(), spec.base[: spec.extended])
        self.exclude = [compiled(condition) for condition in spec.exclude]
        self.rule_hits = [0] * len(spec.rules)
        self.exclude_hits = [0] * len(self.exclude)
        self.parts: dict[tuple[str, str], set[str]] = {}
        self.crossed: set[str] = set()

    def build(self) -> Grid:
        start = applied(self.extended, self.spec.base[self.spec.extended :])
        drafts = [draft for method in self.spec.methods for draft in self._cells(method, start)]
        kept = [draft for draft in drafts if not self._is_excluded(draft)]
        idle_rules = [index for index, hits in enumerate(self.rule_hits) if not hits]
        idle_exclusions = [index for index, hits in enumerate(self.exclude_hits) if not hits]
        return Grid(kept, len(drafts) - len(kept), idle_rules, idle_exclusions, self.parts, self.crossed)

    def _cells(self, method: Method, start: Sections) -> list[Draft]:
        own = applied(start, method.settings)
        part_axes = [axis for axis in self.spec.axes if is_part(axis.section) and not axis.path]
        found = [cell for chosen in _product(part_axes) for cell in self._of_parts(method, own, chosen)]
        order = {axis.key: index for index, axis in enumerate(self.spec.axes)}
        found.sort(key=lambda cell: [(order[axis.key], index) for axis, index in cell[0]])
        return [draft for _, draft in found]

    def _of_parts(self, method: Method, own: Sections, parts: Chosen) -> Iterator[tuple[Chosen, Draft]]:
        """Cells of one method with one choice of parts; axes of parameters follow from the parts that stand there."""
        base = applied(own, _settings(parts))
        final = applied(base, self.spec.overrides)
        self._note_parts(method, final)
        axes = [axis for axis in self.spec.axes if _is_parameter(axis) and final[axis.section].has(axis.path)]
        self.crossed.update(axis.key for axis in axes)
        positions = {axis.key: index for index, axis in enumerate(self.spec.axes)}
        for chosen in _product(axes):
            every = tuple(sorted((*parts, *chosen), key=lambda pair: positions[pair[0].key]))
            yield every, self._draft(method, applied(base, _settings(chosen)), every)

    def _draft(self, method: Method, layered: Sections, chosen: Chosen) -> Draft:
        axes = {axis.key: axis.values[index].label for axis, index in chosen}
        layered = self._with_defaults(method, layered, chosen, axes)
        for number, fits, rule in self.rules:
            if fits(method.name, axes, layered):
                self.rule_hits[number] += 1
                layered = applied(layered, rule.settings)
        if self.spec.overrides:
            layered = applied(layered, self.spec.overrides)
        return Draft(method, axes, layered)

    def _with_defaults(self, method: Method, layered: Sections, chosen: Chosen, axes: Mapping[str, Any]) -> Sections:
        """The same cell above the protocol's rules that fit it as it will be, the command line included."""
        start = self.extended
        parts_first = sorted(chosen, key=lambda pair: _is_parameter(pair[0]))
        above = (*self.spec.base[self.spec.extended :], *method.settings, *_settings(tuple(parts_first)))
        for number, fits, rule in self.defaults:
            if fits(method.name, axes, applied(layered, self.spec.overrides)):
                self.rule_hits[number] += 1
                start = applied(start, rule.settings)
                layered = applied(start, above)
        return layered

    def _is_excluded(self, draft: Draft) -> bool:
        hits = [index for index, fits in enumerate(self.exclude) if fits(draft.method.name, draft.axes, draft.sections)]
        for index in hits:
            self.exclude_hits[index] += 1
        return bool(hits)

    def _note_parts(self, method: Method, final: Mapping[str, Section]) -> None:
        for kind, section in final.items():
            self.parts.setdefault((method.name, kind), set()).add(section.name)


def _is_parameter(axis: Axis) -> bool:
    return bool(axis.path) or not is_part(axis.section)


def _product(axes: Sequence[Axis]) -> Iterator[Chosen]:
    for indices in itertools.product(*(range(len(axis.values)) for axis in axes)):
        yield tuple(zip(axes, indices, strict=True))


def _settings(chosen: Chosen) -> list[Setting]:
    return [setting for axis, index in chosen for setting in axis.values[index].settings]
