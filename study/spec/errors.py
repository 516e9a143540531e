"""What is wrong with a spec and where it stands. Problems are collected, so that a person sees all of them at once."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trainables.errors import ConfigError

_SHOWN = 25


@dataclass(frozen=True)
class Place:
    """A file and a line in it; the command line is a file without lines."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the place, the key, and a message with the value and the remedy."""

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.key, self.message) if part)


class SpecError(ConfigError):
    """A spec that cannot be run as it is written; `problems` has every finding, the message one line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(_in_order(problems))
        super().__init__(_message(self.problems))


class Problems:
    """Collects problems until it is time to refuse."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, place: Place, key: str, message: str) -> None:
        self.found.append(Problem(place, key, message))

    def raise_any(self) -> None:
        """Raises all that was found, if anything was.

        Raises:
            SpecError: at least one problem was added.
        """
        if self.found:
            raise SpecError(self.found)


def shown(value: Any) -> str:
    """A value as a spec would spell it, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each once, line by line within a file."""
    distinct = list(dict.fromkeys(problems))
    files = list(dict.fromkeys(problem.place.file for problem in distinct))
    return sorted(distinct, key=lambda problem: (files.index(problem.place.file), problem.place.line or 0))


def _message(problems: tuple[Problem, ...]) -> str:
    if len(problems) == 1:
        return str(problems[0])
    lines = [f"  {problem}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"  ... and {len(problems) - _SHOWN} more")
    return "\n".join([f"{len(problems)} problems in the spec:", *lines])
