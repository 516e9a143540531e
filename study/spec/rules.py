"""Rules and exclusions: conditions on cells, and what they change."""

from collections.abc import Mapping, Sequence
from typing import Any

from study.spec import sections
from study.spec.document import At, Document, leaves
from study.spec.errors import Problems
from study.spec.model import SpecFile
from study.spec.overrides import LAYER
from study.spec.settings import Aliases, Layer
from study.spec.spec import Axis, Condition, Rule
from trainables.spelling import nearest


class ConditionReader:
    """Reads conditions on cells; knows the methods, datasets and axis values that there are."""

    def __init__(self, methods: Sequence[str], aliases: Aliases, axes: Sequence[Axis], problems: Problems) -> None:
        self.methods = methods
        self.aliases = aliases
        self.labels = {axis.key: [value.label for value in axis.values] for axis in axes}
        self.problems = problems

    def condition(self, data: Mapping[str, Any], at: At) -> Condition:
        keys = []
        for key, raw, here in leaves(data, at):
            values = tuple(raw) if isinstance(raw, list) else (raw,)
            wrong = self._wrong_key(key) or next(
                filter(None, (self._wrong_value(key, value) for value in values)), None
            )
            if not values:
                wrong = "is an empty list and never fits"
            if wrong is not None:
                self.problems.add(here.place, here.key, wrong)
            keys.append((key, values))
        return Condition(tuple(keys), at.place)

    def _wrong_key(self, key: str) -> str | None:
        section, *path = key.split(".")
        if key == "method" or key in self.labels:
            return None
        if section not in sections.sections():
            return f"unknown key '{key}'; {nearest(key, ['method', *self.labels, *sections.sections()])}"
        if not path and sections.plain_class(section) is not None:
            return f"names a section; write one of its keys, such as '{section}.{_first_key(section)}'"
        return sections.unknown_parameter(section, "", tuple(path)) if path else None

    def _wrong_value(self, key: str, value: Any) -> str | None:
        section, *path = key.split(".")
        if key == "method":
            known = list(self.methods)
            return None if value in known else f"unknown method '{value}'; {nearest(str(value), known)}"
        if value in self.labels.get(key, []):
            return None
        if not path and sections.is_part(section):
            return sections.unknown_part(section, value, list(self.aliases))
        return sections.wrong_value(section, "", tuple(path), value)


def read_rules(
    files: Sequence[tuple[Document, SpecFile]], aliases: Aliases, reader: ConditionReader
) -> tuple[Rule, ...]:
    """Rules of all files in order, those of extended files first, numbered in their file."""
    rules: list[Rule] = []
    for document, file in files:
        if _replaces(document, file, "rules"):
            rules = []
        inherited = document.layer not in ("", LAYER)
        source = f" of {document.layer.removeprefix('extends ')}" if inherited else ""
        for number, rule in enumerate(file.rules, start=1):
            at = At(document) / "rules" / (number - 1)
            layer = Layer(f"rule {number}{source}", aliases, reader.problems, must_apply=not inherited)
            condition, settings = reader.condition(rule.when, at / "when"), layer.settings((rule.set, at / "set"))
            rules.append(Rule(condition, settings, number, inherited, inherited and not file.methods))
    return tuple(rules)


def read_exclusions(files: Sequence[tuple[Document, SpecFile]], reader: ConditionReader) -> tuple[Condition, ...]:
    """Conditions of cells that are left out, of all files."""
    found: list[Condition] = []
    for document, file in files:
        if _replaces(document, file, "exclude"):
            found = []
        for index, data in enumerate(file.exclude):
            at = At(document) / "exclude" / index
            if not data:
                reader.problems.add(at.place, at.key, "is empty and would exclude every cell")
            found.append(reader.condition(data, at))
    return tuple(found)


def _replaces(document: Document, file: SpecFile, key: str) -> bool:
    """Lists of files add up; a list from the command line stands for itself."""
    return document.layer == LAYER and key in file.model_fields_set


def _first_key(section: str) -> str:
    return next(iter(next(iter(sections.owners(section).values())).model_fields))
