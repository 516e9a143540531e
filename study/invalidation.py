"""Taking runs out of what counts, with a reason on record. Nothing is destroyed, and the runs are due again."""

import getpass
import json
import socket
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from study.dependencies import run_sources
from study.plan.select import conditions, split_pairs
from study.search.records import LedgerRecords
from study.settling import forget_looks
from trainables.config import REGISTRIES, RunConfig
from trainables.errors import ConfigError, LedgerError
from trainables.ledger import Ledger
from trainables.ledger.places import keyed

_FOLDER = "invalidated"
_FACTS = ("seed", "fold", "stage", "status", "device", "host", "device_name", "git_commit")
"""Columns of table `runs` that conditions may name, besides methods, axes and settings."""

Record = Mapping[str, Any]


def fitting_runs(ledger: Ledger, where: Sequence[str]) -> list[str]:
    """Committed runs that fit all conditions, those that left the spec included.

    Args:
        ledger: of the study.
        where: `key=value` texts, several of them in one behind commas; of several with one key, one has to fit.

    Raises:
        ConfigError: not `key=value`, or a key that no run has.
    """
    plan = ledger.read_plan()
    texts = [pair for text in where for pair in split_pairs(text)]
    methods = [method["name"] for method in plan["methods"]]
    wanted = conditions(texts, axes=plan["axes"], methods=methods, extra=_FACTS)
    cells = _cells_of(plan, ledger)
    rows = ledger.read("runs", columns=["run_id", "config", "dataset", *_FACTS]).to_pylist()
    return [
        row["run_id"]
        for row in rows
        if all(_has(row, cells.get(row["run_id"], ()), key, values) for key, values in wanted.items())
    ]


def _cells_of(plan: Record, ledger: Ledger) -> dict[str, list[Record]]:
    """Run id -> the cells and searches that it belongs to."""
    found: dict[str, list[Record]] = {}
    for cell in plan["cells"]:
        for replicate in cell["replicates"]:
            found.setdefault(replicate["run_id"], []).append(cell)
    for search in plan.get("searches", ()):
        for setting in LedgerRecords(ledger).load(search["cell_id"]).values():
            for run in setting["runs"]:
                found.setdefault(run["run_id"], []).append(search)
    return found


def _has(row: Record, cells: Collection[Record], key: str, values: Sequence[object]) -> bool:
    if key == "method":
        return any(cell["method"] in values for cell in cells)
    if key in _FACTS:
        return row[key] in values
    if any(cell["axes"].get(key) in values for cell in cells if key in cell["axes"]):
        return True
    return _setting(row, key) in values or (key == "dataset" and row["dataset"] in values)


def _setting(row: Record, key: str) -> Any:
    """The value of a dotted key in a row's configuration; a part's name for the part itself."""
    path = key.split(".")
    if key in REGISTRIES:
        path = [key, "name"]
    return reduce(lambda value, step: value.get(step) if isinstance(value, dict) else None, path, _config(row))


def _config(row: Record) -> Any:
    """With the fields that were added since the run was trained, where all its parts are known here."""
    config = json.loads(row["config"] or "{}")
    try:
        return RunConfig.model_validate(config).model_dump(mode="json")
    except (ValueError, ConfigError):
        return config


def dependents(ledger: Ledger, run_ids: Collection[str]) -> set[str]:
    """Runs of the plan that learnt from these, or from one that did."""
    sources = run_sources(ledger.read_plan()["cells"])
    found = set(run_ids)
    while more := {run_id for run_id, needed in sources.items() if not found.isdisjoint(needed)} - found:
        found |= more
    return found - set(run_ids)


def invalidate(ledger: Ledger, run_ids: Collection[str], *, reason: str, where: Sequence[str] = ()) -> str:
    """Takes runs and their checkpoints out, for whoever holds the folder's lease; returns the key of the record.

    The record comes first: a kill in between leaves runs that still count, and the same call ends it.

    Args:
        ledger: of the study.
        run_ids: with those that learnt from them.
        reason: why they do not count.
        where: the conditions that chose them, for the record.
    """
    commits = ledger.commits()
    moment = datetime.now(UTC)
    record = {
        "reason": reason,
        "at": moment.isoformat(timespec="seconds"),
        "by": f"{_user()}@{socket.gethostname()}",
        "where": list(where),
        "runs": [
            {"run_id": run_id, "attempt": commits[run_id].attempt, "status": commits[run_id].status}
            for run_id in sorted(run_ids)
            if run_id in commits
        ],
    }
    key = f"{_FOLDER}/{moment:%Y%m%dT%H%M%S%f}.json"
    ledger.put(key, json.dumps(record, indent=1, ensure_ascii=False).encode())
    forget_looks(ledger)
    LedgerRecords(ledger).reopen_searches(run_ids)
    ledger.forget(*(run_id for run_id in run_ids if run_id in commits))
    for run_id in run_ids:
        for checkpoint in ledger.list(f"checkpoints/{run_id}/"):
            ledger.delete(checkpoint)
    return key


def invalidated_runs(ledger: Ledger) -> set[str]:
    """All runs that ever were invalidated in a results folder.

    Raises:
        LedgerError: a record is damaged.
    """
    keys = (key for key in ledger.list(f"{_FOLDER}/") if key.endswith(".json"))
    return {run_id for key in keys for run_id in _runs_of(ledger, key)}


def _runs_of(ledger: Ledger, key: str) -> set[str]:
    try:
        return {run["run_id"] for run in json.loads(ledger.get(key))["runs"]}
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{keyed(ledger.location, key)} is damaged ({error}); restore it, or delete it: the runs that it names may "
            "then be copied in from sibling studies again"
        ) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"
