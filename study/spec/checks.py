"""Strict validation by pydantic models, and their errors in the words of a spec."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from study.spec.document import At
from study.spec.errors import Problems, shown
from trainables.spelling import nearest

Model = TypeVar("Model", bound=BaseModel)

_WORDS = {
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "string_type": "should be text",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping, {key: value}",
    "model_type": "should be a mapping, {key: value}",
    "too_short": "should not be empty",
}
"""Kinds of pydantic errors whose own words are those of a programmer."""


def strictly(model: type[Model], data: Mapping[str, Any]) -> Model:
    """Validates plain data as JSON is validated: lists are tuples and 1 is 1.0, but "1" and true are no numbers.

    Raises:
        ValidationError: what the model says.
    """
    return model.model_validate_json(json.dumps(data), strict=True)


def checked(model: type[Model], data: dict[str, Any], at: At, problems: Problems) -> Model | None:
    """Validates a piece of a document; what is wrong becomes a problem and is left out of the result.

    Returns:
        The rest, so that it can be looked at too; None where nothing valid is left.
    """
    try:
        return strictly(model, data)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            here = at
            for step in details["loc"]:
                here = here / step
            problems.add(here.place, here.key, message(details, model))
        return _rest(model, data, error)


def message(details: ErrorDetails, model: type[BaseModel]) -> str:
    """One pydantic error as a sentence with the value, and the nearest spelling where a name is unknown."""
    kind, value = details["type"], details.get("input")
    if kind == "extra_forbidden":
        return _unknown_field(str(details["loc"][-1]), _model_at(model, details["loc"][:-1]))
    if kind == "missing":
        return "is missing"
    if kind == "unknown_part":
        return details["msg"]
    text = _WORDS.get(kind) or details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if kind == "literal_error" and isinstance(value, str):
        text += f", got {shown(value)}; {nearest(value, _words(details))}"
        return text
    return f"{text[:1].lower()}{text[1:]}, got {shown(value)}"


def unknown_key(key: str, known: Sequence[str]) -> str:
    """The message for a key that is none of those known."""
    return f"unknown key '{key}'; {nearest(key, list(known)) if known else 'nothing can be set here'}"


def _unknown_field(key: str, model: type[BaseModel]) -> str:
    """A model may know other keys that people expect in it, and where those really stand."""
    hints: Mapping[str, str] = getattr(model, "hints", {})
    close = get_close_matches(key, [*model.model_fields, *hints], n=1)
    if close and close[0] in hints and close[0] not in model.model_fields:
        return f"unknown key '{key}'; {hints[close[0]]}"
    return unknown_key(key, list(model.model_fields))


def _words(details: ErrorDetails) -> list[str]:
    expected = str(details.get("ctx", {}).get("expected", ""))
    return [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    for step in loc:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        if field is not None:
            model = next(_models(field.annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _rest(model: type[Model], data: dict[str, Any], error: ValidationError) -> Model | None:
    rest = json.loads(json.dumps(data))
    for details in error.errors(include_url=False):
        _remove(rest, details["loc"])
    try:
        return strictly(model, rest)
    except ValidationError:
        return None


def _remove(data: Any, loc: tuple[int | str, ...]) -> None:
    """Takes out the innermost key of a mapping on the way to a wrong value."""
    owner, key = None, None
    for step in loc:
        if isinstance(data, dict) and step in data:
            owner, key = data, step
        elif not (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            break
        data = data[step]
    if owner is not None:
        owner.pop(key)
