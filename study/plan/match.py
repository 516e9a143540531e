"""Whether a cell fits a condition: on its method, its axes, or any value of its configuration."""

from collections.abc import Callable, Mapping
from typing import Any

from study.plan.layers import MISSING, Section
from study.spec import sections
from study.spec.spec import Condition

Fits = Callable[[str, Mapping[str, Any], Mapping[str, Section]], bool]
"""(method, axes, sections) -> whether all keys of the condition have one of their values."""


def compiled(condition: Condition) -> Fits:
    """A condition as a function of a cell."""
    tests = [_test(key, values) for key, values in condition.keys]

    def fits(method: str, axes: Mapping[str, Any], layered: Mapping[str, Section]) -> bool:
        return all(test(method, axes, layered) for test in tests)

    return fits


def _test(key: str, values: tuple[Any, ...]) -> Fits:
    if key == "method":
        return lambda method, axes, layered: method in values
    section, *rest = key.split(".")
    path = tuple(rest)
    if section not in sections.sections():  # an axis that is no setting, such as `readout`
        return lambda method, axes, layered: axes.get(key, MISSING) in values
    if not path and sections.is_part(section):
        return lambda method, axes, layered: axes.get(key) in values or layered[section].choice in values
    return lambda method, axes, layered: axes.get(key, MISSING) in values or layered[section].get(path) in values
