"""Columns of check marks: which rows have a feature. What ablation tables of papers look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.cells import CellKey
from analysis.labels import MISSING, is_missing, value_text
from analysis.loading import Results
from analysis.tables.places import Line
from trainables.errors import DmlStudyError
from trainables.spelling import nearest

CHECK_MARK = "✓"
_ABSENT = ("", "none", "false", "0", "0.0")


@dataclass(frozen=True)
class Check:
    """One column.

    Attributes:
        key: a compared parameter, or a column of the runs' configuration.
        expected: the value that has the mark; None for any that is not false, none or 0.
    """

    key: str
    expected: str | None

    @property
    def heading(self) -> str:
        return self.expected or self.key.removesuffix(".name").rsplit(".", 1)[-1].replace("_", " ")

    def mark(self, value: Any) -> str:
        """A tick, or nothing."""
        text = value_text(value)
        has_it = text not in _ABSENT if self.expected is None else text == self.expected
        return CHECK_MARK if has_it else ""


def find_checks(results: Results, texts: Sequence[str], compared: Sequence[str]) -> list[Check]:
    """The columns that "synthesis", "loss.margin" or "synthesis=memvir" mean.

    Raises:
        DmlStudyError: neither a compared parameter nor part of any run's configuration.
    """
    return [_check(results, *text.partition("=")[::2], compared) for text in texts]


def _check(results: Results, key: str, expected: str, compared: Sequence[str]) -> Check:
    known = [*compared, *(str(column) for column in results.runs.columns)]
    for name in (f"{key}.name", key):
        if name in known:
            return Check(name, expected or None)
    raise DmlStudyError(f"check: unknown key '{key}'; {nearest(key, known)}")


def check_marks(results: Results, checks: Sequence[Check], lines: Sequence[Line]) -> list[list[str]]:
    """For each check the marks of all lines; a dash where no run tells yet."""
    return [_marks(results, check, lines) for check in checks]


def _marks(results: Results, check: Check, lines: Sequence[Line]) -> list[str]:
    if check.key in results.axes:
        return [_mark(check, [cell.axes[check.key] for cell in line.cells]) for line in lines]
    known = _configured(results, check.key)
    return [_mark(check, [known[cell.key] for cell in line.cells if cell.key in known]) for line in lines]


def _mark(check: Check, values: Sequence[Any]) -> str:
    marks = dict.fromkeys(check.mark(value) for value in values)
    return " / ".join(mark or MISSING for mark in marks) if len(marks) > 1 else next(iter(marks), MISSING)


def _configured(results: Results, key: str) -> dict[CellKey, Any]:
    """The value of the first finished run of every cell."""
    planned = results.replicates[["study", "cell", "run_id", "status"]]
    done = planned[planned["status"] == "complete"].drop_duplicates(["study", "cell"])
    rows = done.merge(results.runs[["study", "run_id", key]], on=["study", "run_id"])
    found = rows[["study", "cell", key]].itertuples(index=False, name=None)
    return {(str(study), int(cell)): None if is_missing(value) else value for study, cell, value in found}
