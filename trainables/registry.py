"""Registries: parts by name, the package's own and those of installed distributions. Free of torch.

A distribution adds a part by an entry point whose object is the part's configuration class:

    [project.entry-points."dml_study.losses"]
    my_loss = "my_package.config:MyLoss"

Entry points are loaded when a registry is first looked into, not when it is imported: so a module of a plug-in may
import anything of this package, and may hold parts of several kinds.
"""

from collections.abc import Iterator, MutableMapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from pydantic import BaseModel

from trainables.errors import ConfigError

AnyPart = TypeVar("AnyPart", bound=BaseModel)


class Registry(MutableMapping[str, type[AnyPart]], Generic[AnyPart]):
    """Configuration classes by the default of their field `name`; a name that is taken stays with its class.

    Attributes:
        base: what every class in it derives from.
        group: of entry points that add to it; none where empty.
    """

    def __init__(self, *classes: type[AnyPart], base: type[AnyPart], group: str = "") -> None:
        self.base, self.group = base, group
        self._classes: dict[str, type[AnyPart]] = {}
        self._complete = not group
        for cls in classes:
            self[_name(cls)] = cls

    def __setitem__(self, name: str, cls: type[AnyPart]) -> None:
        """
        Raises:
            ConfigError: no class of the registry's kind, another name than its own, or one that is taken.
        """
        if not (isinstance(cls, type) and issubclass(cls, self.base)):
            raise ConfigError(f"{cls!r} is no subclass of {self.base.__name__}")
        if not name or _name(cls) != name:
            raise ConfigError(f"the field `name` of {_path(cls)} needs the part's name as its default")
        taken = self._classes.get(name)
        if taken is not None and _path(taken) != _path(cls):
            raise ConfigError(f"the name '{name}' of {_path(cls)} is taken by {_path(taken)}; give it another name")
        self._classes[name] = cls

    def __getitem__(self, name: str) -> type[AnyPart]:
        return self._known()[name]

    def __delitem__(self, name: str) -> None:
        del self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def _known(self) -> dict[str, type[AnyPart]]:
        if not self._complete:
            self._complete = True  # at once: what is loaded may look into the registry itself
            try:
                self._add_installed()
            except BaseException:
                self._complete = False
                raise
        return self._classes

    def _add_installed(self) -> None:
        for entry in installed(self.group):
            try:
                cls = entry.load()
                self[_name(cls)] = cls
            except Exception as error:
                reason = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
                raise ConfigError(f"{_title(entry)} adds no part: {reason}") from error


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, in the order of their names."""
    return tuple(sorted(_of_all_groups().select(group=group), key=lambda entry: (entry.name, entry.value)))


_of_all_groups = cache(entry_points)
"""Every group that is asked for by itself reads the files of all distributions again."""


def _title(entry: EntryPoint) -> str:
    owner = f" of {entry.dist.name} {entry.dist.version}" if entry.dist is not None else ""
    return f"entry point '{entry.name} = {entry.value}' in {entry.group}{owner}"


def _name(cls: object) -> str:
    """The default of the field `name`; empty where there is none."""
    fields = getattr(cls, "model_fields", {})
    default = fields["name"].default if isinstance(fields, dict) and "name" in fields else ""
    return default if isinstance(default, str) else ""


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
