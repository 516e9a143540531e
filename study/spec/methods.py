"""Methods: templates expanded, definitions of several files put together, `extends` and `baseline` resolved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from study.spec.checks import checked
from study.spec.document import At, Document
from study.spec.errors import Problems
from study.spec.model import MethodFile, Resources, SpecFile
from study.spec.overrides import LAYER
from study.spec.sections import sections
from study.spec.settings import Aliases, Layer, Setting
from study.spec.spec import Method
from study.spec.templates import expanded
from study.spec.tune import Dimension, read_dimensions
from trainables.spelling import nearest

_OWN = (*MethodFile.model_fields, "for")


@dataclass(frozen=True)
class _Definition:
    """A method as one file has it."""

    file: MethodFile
    settings: tuple[Setting, ...]
    tune: dict[str, Dimension | None]
    at: At


def read_methods(
    files: Sequence[tuple[Document, SpecFile]],
    aliases: Aliases,
    resources: Resources,
    problems: Problems,
    *,
    automatic: Sequence[str],
) -> tuple[Method, ...]:
    """All methods of a spec in the order in which they first appear.

    Args:
        files: the spec's files, base first.
        aliases: datasets by their name in the spec.
        resources: of a trial, where a method says nothing else.
        problems: collects what is wrong.
        automatic: rows that are no method and may be a baseline.
    """
    found: dict[str, list[_Definition]] = {}
    for document, file in files:
        _read_file(document, file, found, aliases, problems)
    resolver = _Resolver(found, resources, problems)
    methods = tuple(resolver.method(name) for name in found)
    _check_baselines(methods, found, automatic, problems)
    _check_labels(methods, found, automatic, problems)
    return methods


def _read_file(
    document: Document, file: SpecFile, found: dict[str, list[_Definition]], aliases: Aliases, problems: Problems
) -> None:
    seen: set[str] = set()
    for template, data in file.methods.items():
        at = At(document) / "methods" / template
        for name, definition in expanded(template, data or {}, at, problems):
            if name in seen:
                problems.add(at.place, at.key, f"the name '{name}' is taken by another method of this file")
            elif name not in found and (data is None or document.layer == LAYER):
                problems.add(at.place, at.key, f"unknown method '{name}'; {nearest(name, list(found))}")
            elif data is None:
                del found[name]
            else:
                read = _definition(name, definition, at, aliases, problems)
                found.setdefault(name, []).append(read)
            seen.add(name)


def _definition(name: str, data: dict[str, Any], at: At, aliases: Aliases, problems: Problems) -> _Definition:
    own = {key: value for key, value in data.items() if key in _OWN}
    direct = {key: value for key, value in data.items() if key.split(".")[0] in sections()}
    for key in data.keys() - own.keys() - direct.keys():
        here = at / key
        problems.add(here.place, here.key, f"unknown key '{key}'; {nearest(key, [*_OWN, *sections()])}")
    file = checked(MethodFile, own, at, problems) or MethodFile()
    layer = Layer(f"method '{name}'", aliases, problems)
    settings = layer.settings((direct, at), (file.settings, at / "settings"))
    return _Definition(file, settings, read_dimensions(file.tune, at / "tune", problems), at)


class _Resolver:
    """Follows `extends` from method to method."""

    def __init__(self, found: dict[str, list[_Definition]], resources: Resources, problems: Problems) -> None:
        self.found = found
        self.resources = resources
        self.problems = problems
        self.done: dict[str, Method] = {}

    def method(self, name: str, below: tuple[str, ...] = ()) -> Method:
        if name not in self.done:
            self.done[name] = self._resolved(name, below)
        return self.done[name]

    def _resolved(self, name: str, below: tuple[str, ...]) -> Method:
        settings: tuple[Setting, ...] = ()
        tune: dict[str, Dimension | None] = {}
        resources, baseline, label = self.resources, None, None
        for definition in self.found[name]:
            base = self._base(definition, (*below, name))
            if base is not None:
                settings, tune, resources = (*settings, *base.settings), {**tune, **base.tune}, base.resources
            settings, tune = (*settings, *definition.settings), {**tune, **definition.tune}
            resources = resources.model_copy(update=definition.file.resources.model_dump(exclude_unset=True))
            baseline, label = definition.file.baseline or baseline, definition.file.label or label
        kept = {key: dimension for key, dimension in tune.items() if dimension is not None}
        return Method(name, settings, baseline, kept, resources, self.found[name][-1].at.place, label)

    def _base(self, definition: _Definition, below: tuple[str, ...]) -> Method | None:
        name, at = definition.file.extends, definition.at / "extends"
        if name is None:
            return None
        if name in below:
            self.problems.add(at.place, at.key, f"goes round in a circle: {' -> '.join((*below, name))}")
            return None
        if name not in self.found:
            self.problems.add(at.place, at.key, f"unknown method '{name}'; {nearest(name, list(self.found))}")
            return None
        return self.method(name, below)


def _check_baselines(
    methods: Sequence[Method], found: dict[str, list[_Definition]], automatic: Sequence[str], problems: Problems
) -> None:
    baselines = {**dict.fromkeys(automatic), **{method.name: method.baseline for method in methods}}
    for method in methods:
        at = found[method.name][-1].at / "baseline"
        if method.baseline is not None and method.baseline not in baselines:
            known = nearest(method.baseline, list(baselines))
            problems.add(at.place, at.key, f"unknown method '{method.baseline}'; {known}")
        elif _circle(method.name, baselines):
            problems.add(at.place, at.key, f"goes round in a circle: {' -> '.join(_circle(method.name, baselines))}")


def _check_labels(
    methods: Sequence[Method], found: dict[str, list[_Definition]], automatic: Sequence[str], problems: Problems
) -> None:
    shown = {name: name for name in automatic}
    for method in methods:
        other = shown.setdefault(method.label or method.name, method.name)
        if other != method.name:
            at = found[method.name][-1].at / "label"
            problems.add(at.place, at.key, f"tables would call '{other}' by the same name; choose another label")


def _circle(start: str, baselines: dict[str, str | None]) -> list[str]:
    """The way from a method back to itself; empty where there is none."""
    way, name = [start], baselines.get(start)
    while name is not None and name not in way:
        way.append(name)
        name = baselines.get(name)
    return [*way, start] if name == start else []
