"""`for`: one method definition that stands for several."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from study.spec.document import At
from study.spec.errors import Problems

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def expanded(template: str, data: dict[str, Any], at: At, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and definitions for every combination of the values in `for`; itself where there is none.

    A text that is one placeholder and nothing else becomes the value itself: `ratio: "{r}"` is a number.
    """
    lists = data.get("for", {})
    if not _is_valid(lists, at / "for", problems):
        return
    unknown = [name for name in _names([template, data]) if name not in lists]
    if unknown and (lists or _names(template)):
        known = f"has {', '.join(lists)}" if lists else "is missing"
        problems.add(at.place, at.key, f"uses {{{unknown[0]}}}, but `for` {known}; add `for: {{{unknown[0]}: [..]}}`")
        return
    rest = {key: value for key, value in data.items() if key != "for"}
    for values in itertools.product(*lists.values()):
        words = dict(zip(lists, values, strict=True))
        yield (str(_filled(template, words)), _filled(rest, words)) if words else (template, rest)


def _is_valid(lists: Any, at: At, problems: Problems) -> bool:
    before = len(problems.found)
    if not isinstance(lists, dict):
        problems.add(at.place, at.key, "should be a mapping such as {m: [method-a, method-b]}")
        return False
    for name, values in lists.items():
        here = at / name
        if not isinstance(values, list) or not values or any(isinstance(value, dict | list) for value in values):
            problems.add(here.place, here.key, "should be a list of names or numbers")
        elif any(value in values[:index] for index, value in enumerate(values)):
            problems.add(here.place, here.key, "should have every value once")
    return len(problems.found) == before


def _names(data: Any) -> list[str]:
    if isinstance(data, dict):
        return [name for key, value in data.items() if key != "for" for name in _names(value)]
    if isinstance(data, list):
        return [name for value in data for name in _names(value)]
    return _PLACEHOLDER.findall(data) if isinstance(data, str) else []


def _filled(data: Any, words: dict[str, Any]) -> Any:
    if isinstance(data, dict):
        return {key: _filled(value, words) for key, value in data.items()}
    if isinstance(data, list):
        return [_filled(value, words) for value in data]
    if not isinstance(data, str):
        return data
    whole = _PLACEHOLDER.fullmatch(data)
    return words[whole[1]] if whole else _PLACEHOLDER.sub(lambda match: str(words[match[1]]), data)
