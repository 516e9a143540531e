"""Search spaces: a list of choices, or a distribution with its bounds."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from study.spec import sections
from study.spec.checks import checked
from study.spec.document import At
from study.spec.errors import Place, Problems, shown
from trainables.parts import Config
from trainables.spelling import nearest


class Range(Config):
    """Real numbers between two bounds."""

    distribution: Literal["uniform", "loguniform"]
    min: float
    max: float
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        _check_bounds(self)
        return self


class IntegerRange(Config):
    """Whole numbers between two bounds, both included."""

    distribution: Literal["int", "logint"]
    min: int
    max: int
    step: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> "IntegerRange":
        _check_bounds(self)
        return self


class Choice(Config):
    """One of several values."""

    distribution: Literal["choice"]
    values: list[Any] = Field(min_length=1)

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        if any(value in values[:index] for index, value in enumerate(values)):
            raise ValueError("should have every value once")
        return values


Distribution = Range | IntegerRange | Choice

DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "uniform": Range,
    "loguniform": Range,
    "int": IntegerRange,
    "logint": IntegerRange,
    "choice": Choice,
}


@dataclass(frozen=True)
class Dimension:
    """One tuned parameter of a method."""

    key: str
    distribution: Distribution
    place: Place


def read_dimensions(space: dict[str, Any], at: At, problems: Problems) -> dict[str, Dimension | None]:
    """The search space of a method by dotted key; null takes an inherited dimension away."""
    result: dict[str, Dimension | None] = {}
    for key, raw in space.items():
        here = at / key
        if raw is None:
            result[key] = None
            continue
        wrong = _unknown(key)
        if wrong is not None:
            problems.add(here.place, here.key, wrong)
            continue
        distribution = _distribution(raw, here, problems)
        if distribution is not None and _fits(key, distribution, here, problems):
            result[key] = Dimension(key, distribution, here.place)
    return result


def _unknown(key: str) -> str | None:
    section, *path = key.split(".")
    if section not in sections.sections():
        return sections.unknown_section(section)
    if not path and not sections.is_value(section):
        return f"names a section; write a parameter such as '{section}.{_example(section)}'"
    return sections.unknown_parameter(section, "", tuple(path))


def _example(section: str) -> str:
    return next((key for cls in sections.owners(section).values() for key in sections.parameters(cls)), "name")


def _distribution(raw: Any, at: At, problems: Problems) -> Distribution | None:
    if isinstance(raw, list):
        raw = {"distribution": "choice", "values": raw}
    kind = raw.get("distribution") if isinstance(raw, dict) else None
    if not isinstance(kind, str):
        text = "should be a list of choices or {distribution: uniform, min: .., max: ..}"
        problems.add(at.place, at.key, f"{text}, got {shown(raw)}")
        return None
    if kind not in DISTRIBUTIONS:
        problems.add(at.place, at.key, f"unknown distribution '{kind}'; {nearest(kind, dict(DISTRIBUTIONS))}")
        return None
    before = len(problems.found)
    distribution = checked(DISTRIBUTIONS[kind], raw, at, problems)
    return distribution if len(problems.found) == before else None


def _fits(key: str, distribution: Distribution, at: At, problems: Problems) -> bool:
    section, *path = key.split(".")
    is_choice = isinstance(distribution, Choice)
    values = distribution.values if isinstance(distribution, Choice) else [distribution.min, distribution.max]
    wrong = [sections.wrong_value(section, "", tuple(path), value) for value in values]
    for text in filter(None, wrong):
        problems.add(at.place, at.key, text if is_choice else f"bound {text}")
    return not any(wrong)


def _check_bounds(range_: Range | IntegerRange) -> None:
    if range_.min >= range_.max:
        raise ValueError("min should be below max")
    if range_.distribution.startswith("log") and range_.min <= 0:
        raise ValueError("a logarithmic range needs a min above 0")
    if range_.distribution.startswith("log") and range_.step is not None:
        raise ValueError("a logarithmic range has no step")
