"""What a run's configuration consists of: sections that hold a registered part, plain sections, and single values."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from study.spec.checks import message, strictly, unknown_key
from study.spec.errors import shown
from trainables.config import REGISTRIES, RunConfig
from trainables.parts import Config
from trainables.spelling import nearest

RESERVED = {
    "seed": "seeds are replicates: write replicates.seeds",
    "fold": "folds are replicates: write replicates.folds",
    "stage": "the stage follows from `stages`",
    "device": "the device follows from resources.gpu",
}
"""Fields of a run that follow from other places of a spec."""


@cache
def sections() -> tuple[str, ...]:
    """Names of all sections, in the order of a run's configuration."""
    return tuple(name for name in RunConfig.model_fields if name not in RESERVED)


@cache
def plain_class(section: str) -> type[Config] | None:
    """Configuration class of a section that holds no part (training, protocol, ...); None for parts and values."""
    annotation = RunConfig.model_fields[section].annotation
    is_config = isinstance(annotation, type) and issubclass(annotation, Config)
    return annotation if is_config and section not in REGISTRIES else None  # type: ignore[return-value]


def is_part(section: str) -> bool:
    return section in REGISTRIES


def is_value(section: str) -> bool:
    """A section that is one value, such as embedding_dim."""
    return not is_part(section) and plain_class(section) is None


def owners(section: str) -> Mapping[str, type[Config]]:
    """Classes that may hold the section's keys, by part name; plain sections have one, named ''."""
    if is_part(section):
        return REGISTRIES[section]
    plain = plain_class(section)
    return {} if plain is None else {"": plain}


def owner(section: str, name: str) -> type[Config] | None:
    """The class that holds the section's keys when the part `name` stands there."""
    return owners(section).get(name if is_part(section) else "")


def default_name(section: str) -> str:
    """Name of the part that stands in a section by default; '' where the section holds no part."""
    return str(RunConfig.model_fields[section].default.name) if is_part(section) else ""


def default_value(section: str) -> Any:
    """The default of a section that is one value."""
    return RunConfig.model_fields[section].default


@cache
def parameters(owner_class: type[Config]) -> tuple[str, ...]:
    """Keys of a part or plain section without the part's name."""
    return tuple(key for key in owner_class.model_fields if key != "name")


def unknown_section(key: str) -> str:
    """The message for a key that names no section; finds keys that were written without their section."""
    if key in RESERVED:
        return f"cannot be set; {RESERVED[key]}"
    homes = [f"{name}.{key}" for name in sections() if any(key in cls.model_fields for cls in owners(name).values())]
    hint = f"did you mean {' or '.join(repr(home) for home in homes)}?" if homes else nearest(key, list(sections()))
    return f"unknown key '{key}'; {hint}"


def unknown_parameter(section: str, name: str, path: tuple[str, ...]) -> str | None:
    """What is wrong with a key when the part `name` stands in its section ('': any part); None where nothing is."""
    if is_value(section):
        return f"'{section}' is one value and has no '{'.'.join(path)}'" if path else None
    known = _possible(section, name)
    if any(path[0] in parameters(cls) for cls in known.values()):
        return None
    if len(known) == 1:
        return unknown_key(path[0], parameters(next(iter(known.values()))))
    names = sorted({key for cls in known.values() for key in parameters(cls)})
    return f"no {section} has a parameter '{path[0]}'; {nearest(path[0], names)}"


def unknown_part(section: str, name: Any, aliases: list[str]) -> str | None:
    """What is wrong with a part's name; None where it is registered. Datasets may go by an alias of the spec."""
    if not isinstance(name, str):
        return f"should be the name of a {section} or a mapping with a 'name', got {shown(name)}"
    known = [*owners(section), *(aliases if section == "dataset" else [])]
    return None if name in known else f"unknown {section} '{name}'; {nearest(name, known)}"


def wrong_value(section: str, name: str, path: tuple[str, ...], value: Any) -> str | None:
    """What is wrong with one value wherever it could stand, other values left aside; None where nothing is."""
    if is_value(section):
        return _first_message(RunConfig, {section: value}, section)
    possible = [cls for cls in _possible(section, name).values() if path[0] in parameters(cls)]
    found = [_parameter_message(cls, path, value) for cls in possible]
    return None if None in found else found[0]


def validate_section(section: str, name: str, values: Mapping[str, Any]) -> Any:
    """The typed configuration of one section.

    Raises:
        ValidationError: a value that the section's class refuses.
    """
    if is_value(section):
        run = strictly(RunConfig, {section: values[""]}) if "" in values else RunConfig()
        return getattr(run, section)
    cls = owner(section, name)
    assert cls is not None, f"{section} {name} was checked when the spec was read"
    return strictly(cls, {"name": name, **values} if is_part(section) else values)


def nested(path: tuple[str, ...], value: Any) -> Any:
    """`{"a": {"b": value}}` for the path a.b."""
    for key in reversed(path):
        value = {key: value}
    return value


def _possible(section: str, name: str) -> Mapping[str, type[Config]]:
    known = owners(section)
    return {name: known[name]} if name in known else known


def _parameter_message(cls: type[Config], path: tuple[str, ...], value: Any) -> str | None:
    data: dict[str, Any] = nested(path, value)
    name = cls.model_fields.get("name")
    if name is not None:
        data["name"] = name.default
    return _first_message(cls, data, path[0])


def _first_message(cls: type[BaseModel], data: dict[str, Any], key: str) -> str | None:
    try:
        strictly(cls, data)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            if details["loc"][:1] == (key,):
                return message(details, cls)
    return None
