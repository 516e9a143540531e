"""Values that a spec may write in several ways: counts or lists, sizes with units, shares of GPUs."""

import re
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def _numbers(value: Any) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("should be at least 1")
        return tuple(range(value))
    if not isinstance(value, list | tuple) or not value or not all(type(item) is int for item in value):
        raise ValueError("should be a count such as 3 or a list such as [0, 1, 2]")
    if min(value) < 0:
        raise ValueError("should have no negative number")
    if len(set(value)) < len(value):
        raise ValueError("should have every number once")
    return tuple(value)


def _bytes(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = re.fullmatch(r"([0-9.]+) ?([KMGT]?i?B)", str(value), re.IGNORECASE)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError("should be a size such as 4GB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _gpus(value: Any) -> "float | Literal['auto']":
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("should be a number or auto")
    if not 0 <= value < float("inf"):
        raise ValueError("should be greater than or equal to 0")
    if value > 1 and value != int(value):
        raise ValueError("above 1 should be a whole number of GPUs")
    return float(value)


def _fuse(value: Any) -> "int | Literal['auto', 'off']":
    """YAML 1.1 reads `off` as false."""
    if value is False or value == "off":
        return "off"
    if value == "auto":
        return "auto"
    if type(value) is int and value >= 2:
        return value
    raise ValueError("should be auto, off or a number of runs from 2")


def _names(value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("should be the name of a preset or a file, or a list of them")
    return names


Numbers = Annotated[
    tuple[int, ...],
    PlainValidator(_numbers),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
            ]
        }
    ),
]
Names = Annotated[
    tuple[str, ...],
    PlainValidator(_names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Bytes = Annotated[
    int,
    PlainValidator(_bytes),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}]}),
]


Gpus = Annotated[
    float | Literal["auto"],
    PlainValidator(_gpus),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"enum": ["auto"]}]}),
]


Fuse = Annotated[
    int | Literal["auto", "off"],
    PlainValidator(_fuse),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 2}, {"enum": ["auto", "off", False]}]}),
]


def _scheduler(value: Any) -> str | dict[str, str]:
    """`asha` is ours and repeatable; `{ray: asha}` is Ray Tune's, whose stops depend on timing."""
    own, foreign = ("none", "halving", "asha"), ("asha", "median", "hyperband")
    if value in own or (isinstance(value, dict) and list(value) == ["ray"] and value["ray"] in foreign):
        return value  # type: ignore[no-any-return]
    raise ValueError("should be none, halving, asha, or {ray: asha}, {ray: median}, {ray: hyperband}")


Scheduler = Annotated[
    str | dict[str, str],
    PlainValidator(_scheduler),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["none", "halving", "asha"]},
                {
                    "type": "object",
                    "properties": {"ray": {"enum": ["asha", "median", "hyperband"]}},
                    "required": ["ray"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
