"""Settings: single values of a run's configuration, each with the layer and the line that it was written in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from study.spec import sections
from study.spec.document import At
from study.spec.errors import Place, Problems, shown

Aliases = Mapping[str, "tuple[Setting, ...]"]
"""Datasets of the spec by alias: the settings that each stands for."""


@dataclass(frozen=True)
class Source:
    """Where a value comes from: a layer ("settings", "method 'x'", "--set"), and the place and key it is written at."""

    layer: str
    place: Place
    key: str = ""

    def __str__(self) -> str:
        return self.layer if self.place.line is None else f"{self.layer} ({self.place})"


@dataclass(frozen=True, eq=False)
class Setting:
    """One assigned value.

    Attributes:
        section: section of the run's configuration, `optimizer`.
        path: keys below the section, `("lr",)`; `("name",)` names the part; empty for a section that is one value.
        choice: what the layer names in this section: a part, or a dataset's alias. A parameter with a choice belongs
            to that part and goes when a later layer names another; without, it goes to whatever part has it.
        must_apply: refuse the spec when no method has the parameter (a preset may set more than a study uses).
    """

    section: str
    path: tuple[str, ...]
    value: Any
    source: Source
    choice: str = ""
    must_apply: bool = True

    @property
    def key(self) -> str:
        return ".".join((self.section, *self.path))

    @property
    def names_part(self) -> bool:
        return self.path == ("name",) and sections.is_part(self.section)


@dataclass(frozen=True)
class Layer:
    """What the settings of one place have in common."""

    name: str
    aliases: Aliases
    problems: Problems
    must_apply: bool = True

    def settings(self, *pieces: tuple[Mapping[str, Any], At]) -> tuple[Setting, ...]:
        """Single settings from nested mappings and dotted keys, checked, part names first.

        Args:
            pieces: mappings of one layer with their positions; a key may stand in one of them only.
        """
        return self._finished([setting for data, at in pieces for setting in self._flat(data, at)])

    def value(self, section: str, path: tuple[str, ...], value: Any, at: At) -> tuple[Setting, ...]:
        """The same for what is written at one key, `{section: value}` or `{section.path: value}`."""
        return self._finished(list(self._section(section, path, value, at)))

    def _finished(self, found: list[Setting]) -> tuple[Setting, ...]:
        choices = {setting.section: setting.choice for setting in found if setting.names_part}
        tied = [replace(setting, choice=choices.get(setting.section, "")) for setting in found]
        right = [setting for setting in tied if self._is_right(setting)]
        self._refuse_doubles(right)
        names_first = sorted(right, key=lambda setting: not setting.names_part)
        return tuple(expanded for setting in names_first for expanded in self._expanded(setting))

    def _setting(self, section: str, path: tuple[str, ...], value: Any, at: At) -> Setting:
        source = Source(self.name, at.place, at.key)
        names = path == ("name",) and sections.is_part(section) and isinstance(value, str)
        return Setting(section, path, value, source, value if names else "", self.must_apply)

    def _flat(self, data: Mapping[str, Any], at: At) -> Iterator[Setting]:
        for key, value in data.items():
            section, *path = key.split(".")
            here = at / key
            if section not in sections.sections():
                self.problems.add(here.place, here.key, sections.unknown_section(section))
            else:
                yield from self._section(section, tuple(path), value, here)

    def _section(self, section: str, path: tuple[str, ...], value: Any, at: At) -> Iterator[Setting]:
        if path or sections.is_value(section):
            yield self._setting(section, path, value, at)
        elif isinstance(value, dict):
            for key, item in value.items():
                yield self._setting(section, tuple(key.split(".")), item, at / key)
        elif sections.is_part(section):
            yield self._setting(section, ("name",), value, at)
        else:
            self.problems.add(at.place, at.key, f"should be a mapping of its keys, got {shown(value)}")

    def _is_right(self, setting: Setting) -> bool:
        wrong = self._wrong(setting)
        if wrong is not None:
            self.problems.add(setting.source.place, setting.source.key, wrong)
        return wrong is None

    def _wrong(self, setting: Setting) -> str | None:
        part = self._part(setting.choice) if setting.section == "dataset" else setting.choice
        if setting.names_part:
            return sections.unknown_part(setting.section, part or setting.value, list(self.aliases))
        if part and part not in sections.owners(setting.section):
            return None  # the name itself is reported
        unknown = sections.unknown_parameter(setting.section, part, setting.path)
        return unknown or sections.wrong_value(setting.section, part, setting.path, setting.value)

    def _part(self, choice: str) -> str:
        return str(self.aliases[choice][0].value) if choice in self.aliases else choice

    def _refuse_doubles(self, settings: list[Setting]) -> None:
        seen: dict[str, Setting] = {}
        for setting in settings:
            first = seen.setdefault(setting.key, setting)
            if first is not setting:
                text = f"is set twice in {self.name}, first at {first.source.place}; keep one"
                self.problems.add(setting.source.place, setting.source.key, text)

    def _expanded(self, setting: Setting) -> tuple[Setting, ...]:
        """A dataset's alias as the settings that it stands for."""
        alias = self.aliases.get(setting.choice) if setting.section == "dataset" and setting.names_part else None
        return (setting,) if alias is None else (replace(setting, value=alias[0].value), *alias[1:])
