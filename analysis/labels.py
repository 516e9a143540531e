"""Texts that tables and figures share: parameters, their values, dashes."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

MISSING = "–"


def axis_labels(axes: Sequence[str]) -> dict[str, str]:
    """Short headings of compared parameters: "synthesis.mixup_alpha" is "mixup alpha", unless two would be equal."""
    short = {axis: axis.rsplit(".", 1)[-1].replace("_", " ") for axis in axes}
    names = list(short.values())
    return {axis: text if names.count(text) == 1 else axis for axis, text in short.items()}


def is_missing(value: Any) -> bool:
    """None, or the NaN that data frames put in its place."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def value_text(value: Any) -> str:
    """A parameter's value as a person writes it: 0.25, 1.0, 64, proxy_synthesis; empty where there is none."""
    if is_missing(value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text if any(mark in text for mark in ".en") else text + ".0"
    return value if isinstance(value, str) else str(value)


def plain_value(value: Any) -> Any:
    """A plan's value as something that frames can group by: lists and mappings become text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def enumeration(items: Iterable[str], *, limit: int = 8) -> str:
    """ "a; b; c", and how many more there are beyond the limit."""
    texts = list(items)
    rest = len(texts) - limit
    return "; ".join(texts[:limit]) + (f"; and {rest} more" if rest > 0 else "")


def setting_text(values: dict[str, Any]) -> str:
    """ "ratio 0.5, mixup alpha 0.4" of a cell's compared parameters; those that it does not have are left out."""
    labels = axis_labels(list(values))
    return ", ".join(f"{labels[axis]} {value_text(value)}" for axis, value in values.items() if value_text(value))
