"""Sections of a run as layers of settings: which value wins, and where it came from."""

from collections.abc import Iterable, Mapping
from typing import Any

from study.spec import sections
from study.spec.settings import Setting

MISSING = object()
"""Stands for a value that a section does not have."""

Sections = dict[str, "Section"]
"""Every section of a run's configuration by name."""


class Section:
    """One section after some layers. Immutable; equal ways of making it give the same object.

    A layer that names another part drops the parameters that came with the part before it. Parameters that came
    without a part's name stay, and count for any part that has them.
    """

    __slots__ = ("_following", "_values", "choice", "kind", "name", "settings")

    def __init__(self, kind: str, settings: tuple[Setting, ...] = (), *, name: str = "", choice: str = "") -> None:
        self.kind = kind
        self.settings = settings
        self.name = name
        self.choice = choice
        self._following: dict[Setting, Section] = {}
        self._values: dict[str, Any] | None = None

    def after(self, setting: Setting) -> "Section":
        """The section with one more setting on top."""
        following = self._following.get(setting)
        if following is None:
            following = self._following[setting] = self._after(setting)
        return following

    def _after(self, setting: Setting) -> "Section":
        if not setting.names_part:
            return Section(self.kind, (*self.settings, setting), name=self.name, choice=self.choice)
        stays = setting.choice == self.choice
        kept = tuple(other for other in self.settings if stays or (not other.choice and not other.names_part))
        return Section(self.kind, (*kept, setting), name=setting.value, choice=setting.choice)

    def has(self, path: tuple[str, ...]) -> bool:
        """Whether the part that stands here has the parameter."""
        cls = sections.owner(self.kind, self.name)
        return not path or (cls is not None and path[0] in sections.parameters(cls))

    @property
    def effective(self) -> list[Setting]:
        """Settings that reach this section's part, in order, the name left out."""
        return [setting for setting in self.settings if not setting.names_part and self.has(setting.path)]

    @property
    def values(self) -> dict[str, Any]:
        """What is set here, by key; the value of a section that is one value stands at ''."""
        if self._values is None:
            self._values = {}
            for setting in self.effective:
                _put(self._values, setting.path or ("",), setting.value)
        return self._values

    def get(self, path: tuple[str, ...]) -> Any:
        """The value of a key, the default included; MISSING where the part has no such key."""
        value: Any = self.values
        for index, key in enumerate(path or ("",)):
            if not isinstance(value, dict) or key not in value:
                return self._default(path) if index == 0 else MISSING
            value = value[key]
        return value

    def _default(self, path: tuple[str, ...]) -> Any:
        if not path:
            return sections.default_value(self.kind)
        cls = sections.owner(self.kind, self.name)
        field = None if cls is None else cls.model_fields.get(path[0])
        return MISSING if field is None or len(path) > 1 or field.is_required() else field.default

    def source(self, key: str) -> Setting | None:
        """The setting that a key's value comes from; None for a default."""
        if key == "name":
            return next((setting for setting in reversed(self.settings) if setting.names_part), None)
        found = (setting for setting in reversed(self.effective) if (setting.path or ("",))[0] == key)
        return next(found, None)


def default_sections() -> Sections:
    """A run's sections before any layer."""
    names = {kind: sections.default_name(kind) for kind in sections.sections()}
    return {kind: Section(kind, name=name, choice=name) for kind, name in names.items()}


def applied(start: Mapping[str, Section], settings: Iterable[Setting]) -> Sections:
    """The sections after one more layer."""
    result = dict(start)
    for setting in settings:
        result[setting.section] = result[setting.section].after(setting)
    return result


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *above, last = path
    for key in above:
        inner = values.get(key)
        values[key] = dict(inner) if isinstance(inner, dict) else {}
        values = values[key]
    values[last] = value
