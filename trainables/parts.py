"""The base of every configurable part, the registries that name them, and what of a part goes into a run's identity."""

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, PlainValidator
from pydantic_core import CoreSchema, PydanticCustomError

from trainables.attribute_docs import attribute_docs
from trainables.errors import ConfigError
from trainables.registry import Registry
from trainables.spelling import nearest

_NO_LEGACY = object()


class Config(BaseModel):
    """Typed, immutable, refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The text below a field is its description."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in attribute_docs(cls).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return schema


class Part(Config):
    """Configuration of one registered part: its name, its parameters, and where its implementation stands.

    A part whose numbers change at equal parameters raises `numerics_version`; its older runs are then due again.
    """

    name: str
    numerics_version: ClassVar[int] = 1
    implementation: ClassVar[str] = ""

    def simplified(self) -> "Part":
        """The same part without parameters that cannot matter (no mixup alpha when the ratio is 0)."""
        return self

    def rehearsed(self) -> "Part":
        """The same part as two steps can show it: without a warm-up, with the shortest memory."""
        return self

    def refusal(self, run: Any) -> str | None:
        """Why this part cannot work with the other parts of a run, and what would be possible; None where it can.

        Args:
            run: the `RunConfig` that the part stands in.
        """
        return None


AnyConfig = TypeVar("AnyConfig", bound=Config)


def at_defaults(config: AnyConfig, *fields: str) -> AnyConfig:
    """The same configuration with these fields at their defaults; the object itself where they are already."""
    defaults = {field: type(config).model_fields[field].default for field in fields}
    changed = {field: value for field, value in defaults.items() if getattr(config, field) != value}
    return config.model_copy(update=changed) if changed else config


def hidden(default: Any = ..., **kwargs: Any) -> Any:
    """A field that does not change a run's numbers and stays out of its identity (paths, extra metrics)."""
    return Field(default, json_schema_extra={"hashed": False}, **kwargs)


def added(default: Any, *, legacy: Any, **kwargs: Any) -> Any:
    """A field that a later version brought: left out of the identity at the value that older runs had in effect.

    A section that a later version brought has only such fields; with `legacy=None` it is left out where all are.
    """
    return Field(default, json_schema_extra={"legacy": legacy}, **kwargs)


def identity(config: BaseModel, *, inner: Callable[[BaseModel], dict[str, Any]] | None = None) -> dict[str, Any]:
    """What of a configuration goes into the hash: canonical values, hidden and legacy-default fields left out.

    Args:
        config: the configuration.
        inner: gives the identity of the configurations inside; planning passes one that remembers.
    """
    inner = inner or identity
    result: dict[str, Any] = {}
    for key, legacy in _hashed_fields(type(config)):
        value = getattr(config, key)
        if isinstance(value, BaseModel):
            content = inner(value)
            if content or legacy is _NO_LEGACY:
                result[key] = content
        elif legacy is _NO_LEGACY or value != legacy:
            result[key] = _canonical(value)
    if isinstance(config, Part):
        result["numerics_version"] = config.numerics_version
    return result


@cache
def _hashed_fields(cls: type[BaseModel]) -> tuple[tuple[str, Any], ...]:
    """Fields that count, each with the legacy value at which it is left out."""
    extras = {
        key: field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        for key, field in cls.model_fields.items()
    }
    counted = {key: extra for key, extra in extras.items() if extra.get("hashed") is not False}
    return tuple((key, extra.get("legacy", _NO_LEGACY)) for key, extra in counted.items())


def _canonical(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_canonical(item) for item in value]
    return value


def load_implementation(part: Part) -> Any:
    """Imports the object that `implementation` ("module:attribute") names.

    Raises:
        ConfigError: there is none.
    """
    module, _, attribute = part.implementation.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"implementation '{part.implementation}' of '{part.name}': {error}") from error


def part_validator(registry: Registry[Part], kind: str) -> PlainValidator:
    """Validates a field that holds one part of a registry, written as its name or as a mapping with a name."""

    def validate(value: Any) -> Part:
        if isinstance(value, registry.base):
            return value
        if isinstance(value, Part):
            wrong = {"kind": kind, "name": value.name, "type": type(value).__name__}
            raise PydanticCustomError("part", "expected a {kind}, found '{name}', a {type}", wrong)
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise PydanticCustomError(
                "part", "expected the name of a {kind} or a mapping with a 'name'", {"kind": kind}
            )
        return part_class(registry, kind, value["name"]).model_validate(dict(value))

    return PlainValidator(validate)


def part_class(registry: Mapping[str, type[Part]], kind: str, name: str) -> type[Part]:
    """The configuration class of a named part.

    Raises:
        PydanticCustomError: the name is not registered; the message has the nearest spelling.
    """
    if name not in registry:
        raise PydanticCustomError(
            "unknown_part",
            "unknown {kind} '{name}'; {hint}",
            {"kind": kind, "name": name, "hint": nearest(name, dict(registry))},
        )
    return registry[name]


def registered(*classes: type[Part], base: type[Part] = Part, group: str = "") -> Registry[Part]:
    """A registry of classes whose field `name` has a default.

    Args:
        base: what every part of the kind derives from.
        group: entry points of installed distributions that add to it; none where empty.
    """
    return Registry(*classes, base=base, group=group)
