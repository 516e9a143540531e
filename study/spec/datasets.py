"""Datasets that a spec gives a name of its own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from study.spec.document import At, Document
from study.spec.errors import Problems, shown
from study.spec.model import SpecFile
from study.spec.settings import Layer, Setting


def read_aliases(files: Sequence[tuple[Document, SpecFile]], problems: Problems) -> dict[str, tuple[Setting, ...]]:
    """Settings that each alias stands for: the part's name first, then its parameters, then the label.

    A later file adds to an alias of the same part and replaces one of another; null takes it away.
    """
    result: dict[str, tuple[Setting, ...]] = {}
    for document, file in files:
        for alias, data in file.datasets.items():
            at = At(document) / "datasets" / alias
            if data is None:
                result.pop(alias, None)
                continue
            result[alias] = _alias(alias, data, at, result.get(alias, ()), problems)
    return {alias: settings for alias, settings in result.items() if settings}


def _alias(alias: str, data: Any, at: At, known: tuple[Setting, ...], problems: Problems) -> tuple[Setting, ...]:
    if isinstance(data, dict) and "label" in data:
        problems.add((at / "label").place, (at / "label").key, f"the label of a dataset is its name here, '{alias}'")
        return known
    if isinstance(data, dict) and "name" not in data and known:
        data = {"name": known[0].value, **data}
    layer = Layer(f"datasets.{alias}", {}, problems)
    before = len(problems.found)
    settings = layer.value("dataset", (), data, at)
    if len(problems.found) > before:
        return known
    if not settings or not settings[0].names_part:
        problems.add(at.place, at.key, f"should be a mapping with the name of a dataset, got {shown(data)}")
        return known
    name, *parameters = (replace(setting, choice=alias) for setting in settings)
    label = replace(name, path=("label",), value=alias)
    kept = known[1:-1] if known and known[0].value == name.value else ()
    return (name, *kept, *parameters, label)
