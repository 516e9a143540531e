"""`--set key=value`: what the command line adds to a spec."""

import re
from collections.abc import Sequence
from typing import Any

from study.spec.document import Document, parse
from study.spec.errors import Place, Problems, SpecError
from study.spec.model import SpecFile
from study.spec.sections import sections
from trainables.spelling import nearest

LAYER = "--set"
_STEP = re.compile(r'"([^"]*)"|([^."]+)')
_KEYS = tuple(key for key in SpecFile.model_fields if key != "extends")
_MAPPINGS = ("settings", "tune")


def parse_overrides(overrides: Sequence[str], problems: Problems) -> tuple[Document, Document]:
    """Two documents: keys of the spec, and settings that beat everything (`training.epochs=3`, `loss.scale=10`).

    Keys are dotted; a name that has a dot stands in double quotes: `methods."ratio 0.5".loss=proxy_nca`.
    """
    keys: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for override in overrides:
        try:
            _add(override, keys, settings, problems)
        except SpecError:
            problems.add(Place(LAYER), override, "has a value that is not valid YAML; quote it for the shell")
    return Document(keys, LAYER, layer=LAYER), Document(settings, LAYER, layer=LAYER)


def _add(override: str, keys: dict[str, Any], settings: dict[str, Any], problems: Problems) -> None:
    key, equals, text = override.partition("=")
    steps = [quoted or plain.strip() for quoted, plain in _STEP.findall(key)]
    if not equals or not steps or not all(steps):
        problems.add(Place(LAYER), override, "should be key=value, such as training.epochs=3")
    elif steps[0] in sections():
        settings[".".join(steps)] = parse(text, file=LAYER)[0]
    elif steps[0] in _KEYS:
        _put(keys, _spec_path(steps), parse(text, file=LAYER)[0], problems)
    else:
        hint = nearest(steps[0], [*_KEYS, *sections()])
        problems.add(Place(LAYER), key, f"unknown key '{steps[0]}'; {hint}")


def _spec_path(steps: list[str]) -> list[str]:
    """Below settings, compare and tune keys stay dotted, as in a file."""
    head, *rest = steps
    if head in ("settings", "compare"):
        return [head, ".".join(rest)] if rest else [head]
    if head == "methods" and len(rest) > 1:
        name, key, *below = rest
        inner = [key, ".".join(below)] if key in _MAPPINGS else [key, *below] if key == "resources" else None
        return [head, name, *(inner or [".".join([key, *below])])]
    return steps


def _put(data: dict[str, Any], path: list[str], value: Any, problems: Problems) -> None:
    for step in path[:-1]:
        inner: Any = data.setdefault(step, {})
        if not isinstance(inner, dict):
            problems.add(Place(LAYER), ".".join(path), "contradicts another --set")
            return
        data = inner
    data[path[-1]] = value
