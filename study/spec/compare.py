"""The axes of a study."""

from collections.abc import Sequence
from typing import Any

from study.spec import sections
from study.spec.document import At, Document, leaves
from study.spec.errors import Problems, shown
from study.spec.model import SpecFile
from study.spec.settings import Aliases, Layer
from study.spec.spec import Axis, AxisValue


def read_axes(files: Sequence[tuple[Document, SpecFile]], aliases: Aliases, problems: Problems) -> tuple[Axis, ...]:
    """All axes in the order in which they first appear; a later file's values replace those of an earlier one."""
    found: dict[str, tuple[Any, At]] = {}
    for document, file in files:
        seen: set[str] = set()
        for key, values, at in leaves(file.compare, At(document) / "compare"):
            if key in seen:
                problems.add(at.place, at.key, "stands twice; keep one")
            seen.add(key)
            found[key] = (values, at)
    layer = Layer("compare", aliases, problems)
    axes = (_axis(key, values, at, layer) for key, (values, at) in found.items() if values is not None)
    return tuple(axis for axis in axes if axis is not None)


def _axis(key: str, values: Any, at: At, layer: Layer) -> Axis | None:
    section, *path = key.split(".")
    wrong = _wrong_key(section, tuple(path)) or _wrong_values(values)
    if wrong is not None:
        layer.problems.add(at.place, at.key, wrong)
        return None
    items = tuple(_value(section, tuple(path), value, at / index, layer) for index, value in enumerate(values))
    for index, item in enumerate(items):
        if item.label in [other.label for other in items[:index]]:
            layer.problems.add((at / index).place, at.key, f"has {shown(item.label)} twice; keep one")
    return Axis(key, section, tuple(path), items, at.place)


def _wrong_key(section: str, path: tuple[str, ...]) -> str | None:
    if section in sections.RESERVED:
        return f"cannot be compared; {sections.RESERVED[section]}"
    if section not in sections.sections():
        return sections.unknown_section(section)
    return sections.unknown_parameter(section, "", path) if path else None


def _wrong_values(values: Any) -> str | None:
    if not isinstance(values, list):
        return f"should be a list of values, such as [{shown(values)}]"
    return None if values else "is an empty list; give the values to compare"


def _value(section: str, path: tuple[str, ...], value: Any, at: At, layer: Layer) -> AxisValue:
    label = _label(value)
    if section == "dataset" and isinstance(value, dict):
        value = {"label": label, **value}  # tables tell datasets apart by their label
    return AxisValue(label, layer.value(section, path, value, at))


def _label(value: Any) -> Any:
    if value is None:
        return "none"
    if isinstance(value, dict):
        inner = ", ".join(f"{key}={_label(item)}" for key, item in value.items() if key not in ("name", "label"))
        name = value.get("label", value.get("name", ""))
        return f"{name}({inner})" if inner and "label" not in value else name
    return shown(value) if isinstance(value, list) else value
