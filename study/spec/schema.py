"""JSON Schema of spec files, for completion and hints in editors. Looser than `load_spec`: it knows no aliases."""

from collections.abc import Iterator
from typing import Any

from pydantic import create_model

from study.spec import sections
from study.spec.model import MethodFile, SpecFile
from study.spec.tune import Choice, IntegerRange, Range
from trainables.attribute_docs import attribute_docs
from trainables.config import RunConfig

Schema = dict[str, Any]

_REFERENCE = "#/$defs/{model}"


def json_schema() -> Schema:
    """The schema of a spec file, with every registered part and its parameters."""
    builder = _Builder()
    schema = SpecFile.model_json_schema(ref_template=_REFERENCE)
    builder.defs.update(schema.pop("$defs", {}))
    builder.add_definitions()
    properties = schema["properties"]
    properties["settings"] |= _ref("settings")
    properties["datasets"] |= {"additionalProperties": {"anyOf": [_ref("dataset"), {"type": "null"}]}}
    properties["methods"] |= {"additionalProperties": {"anyOf": [_ref("method"), {"type": "null"}]}}
    properties["compare"] |= _ref("compare")
    properties["exclude"] |= {"items": _ref("condition")}
    for section in ("protocol", "keep"):
        properties[section] = _ref(section)
    builder.defs["RuleFile"]["properties"] |= {"when": _ref("condition"), "set": _ref("settings")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "dml-study spec",
        "$defs": builder.defs,
    }


class _Builder:
    """Collects definitions: one for each section, and one for each place where settings stand."""

    def __init__(self) -> None:
        self.defs: dict[str, Schema] = {}
        self.dotted: dict[str, list[Schema]] = {}

    def add_definitions(self) -> None:
        for section in sections.sections():
            self.defs[section] = self._section(section)
        self.defs.update({key: _any(schemas) for key, schemas in self.dotted.items() if "." in key})
        dotted = {key: _ref(key) for key in self.dotted}
        whole = {section: _ref(section) for section in sections.sections()}
        self.defs["settings"] = _object({**whole, **dotted})
        self.defs["compare"] = _object({key: _axis(key, schema) for key, schema in {**whole, **dotted}.items()})
        keys = {"method": {"type": "string"}, **whole, **dotted}
        self.defs["condition"] = _object({key: _any([schema, _list(schema)]) for key, schema in keys.items()})
        self.defs["tune"] = _object({key: self._dimension(schema) for key, schema in dotted.items()})
        self.defs["method"] = self._method({**whole, **dotted})

    def _section(self, section: str) -> Schema:
        if sections.is_value(section):
            return self._value(section)
        classes = [self._class(section, name) for name in sections.owners(section)]
        if not sections.is_part(section):
            return classes[0]
        some = _object({key: _any(found) for key, found in _by_key(classes).items()})
        return _any([*self._names(section), *classes, some])

    def _names(self, section: str) -> Iterator[Schema]:
        for name, cls in sections.owners(section).items():
            yield {"const": name, "description": (cls.__doc__ or "").strip()}
        if section == "dataset":
            yield {"type": "string", "description": "A dataset of `datasets`."}

    def _class(self, section: str, name: str) -> Schema:
        cls = sections.owners(section)[name]
        schema = cls.model_json_schema(ref_template=_REFERENCE)
        self.defs.update(schema.pop("$defs", {}))
        for key in sections.parameters(cls):
            self.dotted.setdefault(f"{section}.{key}", []).append(schema["properties"][key])
        return {**schema, "required": ["name"]} if sections.is_part(section) else schema

    def _value(self, section: str) -> Schema:
        field = RunConfig.model_fields[section]
        model: Any = create_model("Value", **{section: (field.annotation, field)})  # type: ignore[call-overload]
        schema: Schema = model.model_json_schema()["properties"][section]
        schema |= {"description": attribute_docs(RunConfig)[section]}
        self.dotted[section] = [schema]
        return schema

    def _dimension(self, values: Schema) -> Schema:
        shapes = [shape.model_json_schema(ref_template=_REFERENCE) for shape in (Range, IntegerRange, Choice)]
        for shape in shapes:
            self.defs[shape["title"]] = shape
        return _any([_list(values), *(_ref(shape["title"]) for shape in shapes), {"type": "null"}])

    def _method(self, settings: dict[str, Schema]) -> Schema:
        schema = MethodFile.model_json_schema(ref_template=_REFERENCE)
        self.defs.update(schema.pop("$defs", {}))
        lists = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}}
        text = "Stands for several methods: `{m}` in names and values is replaced by each value of the list m."
        own = schema["properties"] | {"for": {**lists, "description": text}}
        own["settings"] |= _ref("settings")
        own["tune"] |= _ref("tune")
        return {**_object({**settings, **own}), "description": schema["description"]}


def _by_key(classes: list[Schema]) -> dict[str, list[Schema]]:
    """Parameters of all parts of a section, for a mapping that names none."""
    result: dict[str, list[Schema]] = {}
    for schema in classes:
        for key, value in schema["properties"].items():
            if key != "name":
                result.setdefault(key, []).append(value)
    return result


def _axis(key: str, schema: Schema) -> Schema:
    """A list of values; a section may also hold axes of its keys."""
    nested = [{"type": "object"}] if "." not in key and not sections.is_value(key) else []
    return _any([_list(schema), *nested, {"type": "null"}])


def _ref(name: str) -> Schema:
    return {"$ref": _REFERENCE.format(model=name)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _any(schemas: list[Schema]) -> Schema:
    distinct = [schema for index, schema in enumerate(schemas) if schema not in schemas[:index]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
