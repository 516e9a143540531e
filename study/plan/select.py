"""Choosing cells by a number, a part of their title, or `key=value` pairs."""

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from study.plan.match import Fits, compiled
from study.plan.plan import Plan
from study.plan.readouts import AXIS
from study.spec.document import parse
from study.spec.errors import Place, SpecError
from study.spec.sections import is_value, sections, unknown_parameter, unknown_section
from study.spec.spec import Condition
from trainables.errors import ConfigError
from trainables.spelling import nearest

if TYPE_CHECKING:
    from study.search.search import Search

_SHOWN = 10


def one_cell(plan: Plan, selector: str) -> int:
    """Index of the cell that a selector names.

    Args:
        plan: the plan.
        selector: a cell's number, a part of its title, or `method=a,synthesis.ratio=0.5`.

    Raises:
        ConfigError: no cell or several fit; the message lists candidates.
    """
    found = _candidates(plan, selector.strip())
    if len(found) == 1:
        return found[0]
    for search in plan.searches if not found else ():
        if search.chosen is None and selector in (search.cell.method, search.cell.title):
            raise ConfigError(f"'{selector}' is still searched and has no values yet; `dml-study plan` shows how far")
    some = found or range(len(plan.cells))
    lines = [f"  {index}: {plan.cells[index].title}" for index in list(some)[:_SHOWN]]
    if len(some) > _SHOWN:
        lines.append(f"  ... and {len(some) - _SHOWN} more")
    reason = "fits several cells; say more" if found else "fits no cell; there are"
    raise ConfigError("\n".join([f"'{selector}' {reason}:", *lines]))


def fitting_cells(plan: Plan, only: Sequence[str]) -> list[int]:
    """Indices of the cells that fit all `key=value` texts; of several with one key, one has to fit.

    Raises:
        ConfigError: not `key=value`, or a key that no cell has.
    """
    fits = _compiled(plan, only)
    return [index for index in range(len(plan.cells)) if _fits(plan, index, fits)]


def fitting_searches(plan: Plan, only: Sequence[str]) -> "list[Search]":
    """Searches whose cells fit all `key=value` texts; tuned keys have no value yet.

    Raises:
        ConfigError: as `fitting_cells`.
    """
    fits = _compiled(plan, [text for text in only if text.partition("=")[0].strip() != AXIS])
    return [search for search in plan.searches if search.cell.fits(fits)]


def _compiled(plan: Plan, only: Sequence[str]) -> Fits:
    wanted = conditions(only, axes=plan.axes, methods=list(plan.methods))
    return compiled(Condition(tuple(wanted.items()), Place("--only")))


def conditions(
    texts: Sequence[str], *, axes: Collection[str], methods: Sequence[str], extra: Sequence[str] = ()
) -> dict[str, tuple[object, ...]]:
    """Values of each key of `key=value` texts, in all their spellings; of several with one key, one has to fit.

    Args:
        texts: what was written.
        axes, methods: of the study.
        extra: keys that are allowed besides `method`, axes and settings.

    Raises:
        ConfigError: not `key=value`, or a key that no run has; the message has the nearest spelling.
    """
    wanted: dict[str, tuple[object, ...]] = {}
    for text in texts:
        key, value = _pair(text, axes=axes, methods=methods, extra=extra)
        wanted[key] = (*wanted.get(key, ()), *_spellings(value))
    return wanted


def split_pairs(text: str) -> list[str]:
    """`a=1,b=[2, 3]` at the commas before keys."""
    return re.split(r",\s*(?=[\w.]+=)", text)


def _candidates(plan: Plan, selector: str) -> list[int]:
    if selector.isdigit() and int(selector) < len(plan.cells):
        return [int(selector)]
    if re.match(r"[\w.]+=", selector):
        return fitting_cells(plan, split_pairs(selector))
    exact = [index for index, cell in enumerate(plan.cells) if selector in (cell.title, cell.method)]
    return exact or [index for index, cell in enumerate(plan.cells) if selector.lower() in cell.title.lower()]


def _fits(plan: Plan, index: int, fits: Fits) -> bool:
    cell = plan.cells[index]
    return fits(cell.method, cell.axes, cell.sections)


def _pair(text: str, *, axes: Collection[str], methods: Sequence[str], extra: Sequence[str]) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    key = key.strip().removesuffix(".name")
    if not equals:
        raise ConfigError(f"'{text}' should be key=value, such as method={next(iter(methods), 'NAME')}")
    section, *path = key.split(".")
    if key in ("method", AXIS) or key in axes or key in extra:
        return key, value.strip()
    if section not in sections():
        near = nearest(section, [*sections(), "method", *extra]) if extra else unknown_section(section)
        raise ConfigError(f"'{text}': {f'unknown key {section!r}; {near}' if extra else near}")
    wrong = unknown_parameter(section, "", tuple(path)) if path or is_value(section) else None
    if wrong is not None:
        raise ConfigError(f"'{text}': {wrong}")
    return key, value.strip()


def _spellings(text: str) -> tuple[object, ...]:
    """The text, and what YAML reads in it: `0.5` is a number, and a method may be called `0.5`."""
    try:
        value = parse(text, file="")[0]
    except SpecError:
        return (text,)
    return (text, value)
