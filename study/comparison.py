"""Whether a run trained again has the same numbers: every metric of its row, its epochs and its test classes."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainables.ledger import COLUMNS, TABLES, Ledger

Row = Mapping[str, Any]

_NUMBERS = ("double", "int32", "int64", "metrics")
_KEYS = {"runs": (), "epochs": ("phase", "epoch"), "classes": ("class_index",)}
_NOT_METRICS = ("schema_version", "seed", "fold", "attempts", "wall_seconds", "peak_gpu_memory", "fused")
_TIMES = ("_seconds", "_per_second")
_PROVENANCE = ("device_name", "device", "git_commit", "host")


@dataclass(frozen=True)
class Difference:
    """One value that differs.

    Attributes:
        table: runs, epochs or classes.
        row: which row of it: "select epoch 3", "class 7"; empty for the run.
        name: of the metric; empty where one side lacks the row.
        recorded, repeated: None where a side has no value.
    """

    table: str
    row: str
    name: str
    recorded: float | None
    repeated: float | None

    @property
    def size(self) -> float:
        """How far apart the values are; NaN where one is missing."""
        if self.recorded is None or self.repeated is None:
            return math.nan
        return abs(self.repeated - self.recorded)


@dataclass(frozen=True)
class Tables:
    """All rows of one run."""

    runs: Sequence[Row]
    epochs: Sequence[Row]
    classes: Sequence[Row]

    @classmethod
    def of(cls, ledger: Ledger, run_id: str) -> "Tables":
        """Those in a ledger, as they count."""
        return cls(*(ledger.read(table, run_ids=[run_id]).to_pylist() for table in TABLES))


@dataclass(frozen=True)
class Comparison:
    """Two trainings of one run.

    Attributes:
        differences: values that are not the same bits.
        compared: how many values of each table were compared.
        circumstances: "torch 2.12.0 -> 2.13.0": what differs around the two trainings.
    """

    differences: Sequence[Difference]
    compared: Mapping[str, int]
    circumstances: Sequence[str]


def compare(recorded: Tables, repeated: Tables) -> Comparison:
    """Compares every metric; times, attempts and where a run was trained are no metrics."""
    differences: list[Difference] = []
    compared: dict[str, int] = {}
    for table in TABLES:
        old, new = (_by_key(getattr(side, table), table) for side in (recorded, repeated))
        found = list(_values(old, new))
        compared[table] = len(found)
        differences += [Difference(table, row, name, a, b) for row, name, a, b in found if not _same(a, b)]
    return Comparison(differences, compared, list(_circumstances(recorded.runs[0], repeated.runs[0])))


def _by_key(rows: Sequence[Row], table: str) -> dict[str, dict[str, float | None]]:
    return {_label(row, table): _metrics(row, table) for row in rows}


def _label(row: Row, table: str) -> str:
    if table == "epochs":
        return f"{row['phase']} epoch {row['epoch']}"
    return f"class {row['class_index']}" if table == "classes" else ""


def _metrics(row: Row, table: str) -> dict[str, float | None]:
    names = [name for name, kind in COLUMNS[table].items() if kind in _NUMBERS]  # type: ignore[index]
    found = {name: row[name] for name in names if name != "extra" and name not in _KEYS[table]}
    found |= dict(row["extra"] or [])
    return {name: value for name, value in found.items() if name not in _NOT_METRICS and not name.endswith(_TIMES)}


def _values(old: Mapping[str, Row], new: Mapping[str, Row]) -> Iterator[tuple[str, str, Any, Any]]:
    """(row, name, recorded, repeated) of everything that at least one side has."""
    for row in dict.fromkeys([*old, *new]):
        left, right = old.get(row, {}), new.get(row, {})
        for name in dict.fromkeys([*left, *right]):
            pair = left.get(name), right.get(name)
            if pair != (None, None):
                yield row, name, *pair


def _same(left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return left is right
    return left == right or (math.isnan(left) and math.isnan(right))


def _circumstances(old: Row, new: Row) -> Iterator[str]:
    together = [int(dict(row["extra"] or []).get("fused", 1)) for row in (old, new)]
    if together[0] != together[1]:
        yield f"runs that trained together {together[0]} -> {together[1]}"
    before, now = (json.loads(row["versions"] or "{}") for row in (old, new))
    for package in sorted(before.keys() | now.keys()):
        if before.get(package) != now.get(package):
            yield f"{package} {before.get(package, 'absent')} -> {now.get(package, 'absent')}"
    for name in _PROVENANCE:
        if old[name] != new[name]:
            yield f"{name.replace('_', ' ')} {old[name] or 'unknown'} -> {new[name] or 'unknown'}"
