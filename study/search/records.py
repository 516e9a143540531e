"""Settings on record: written before their first run starts, and never computed again."""

import json
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from trainables.errors import LedgerError
from trainables.ledger import Ledger
from trainables.ledger.places import keyed
from trainables.training.cutoffs import Cutoffs
from trainables.training.orders import STOP_SUFFIX, ordered_stop

Record = dict[str, Any]

_FOLDER = "search"
_ENDED = ".ended.json"
"""Told to readers who know names alone; what ends is computed from values, with or without it."""


class Records(Protocol):
    """Keeps the settings of searches."""

    def load(self, cell_id: str) -> dict[int, Record]:
        """What is recorded of a search, by number."""

    def put(self, cell_id: str, number: int, record: Record) -> None:
        """Records one setting."""

    def put_ended(self, cell_id: str, number: int, *, replicates: int) -> None:
        """Notes that a setting trains no replicates after so many."""

    def orders(self, cell_id: str) -> dict[str, int]:
        """Runs that Ray Tune's scheduler decided to stop, with the epoch."""

    def put_order(self, cell_id: str, run_id: str, *, epoch: int) -> None:
        """Records such a decision, before the run hears of it."""


class NoRecords:
    """Nothing is known, nothing is kept: a plan without a results folder."""

    def load(self, cell_id: str) -> dict[int, Record]:
        return {}

    def put(self, cell_id: str, number: int, record: Record) -> None:
        """Forgets it."""

    def put_ended(self, cell_id: str, number: int, *, replicates: int) -> None:
        """Forgets it."""

    def orders(self, cell_id: str) -> dict[str, int]:
        return {}

    def put_order(self, cell_id: str, run_id: str, *, epoch: int) -> None:
        """Forgets it."""


class LedgerRecords:
    """`search/<cell id>/<number>.json` in a results folder, and `<number>.ended.json` of settings that ended early, and
    `<run id>.stop.json` of runs that Ray Tune's scheduler decided to stop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def load(self, cell_id: str) -> dict[int, Record]:
        """
        Raises:
            LedgerError: a record is damaged.
        """
        keys = self._ledger.list(f"{_FOLDER}/{cell_id}/")
        numbered = {_number(key): key for key in keys if _number(key) is not None}
        return {number: self._read(key) for number, key in numbered.items() if number is not None}

    def put(self, cell_id: str, number: int, record: Record) -> None:
        self._ledger.put(_key(cell_id, number), json.dumps(record, indent=1, ensure_ascii=False).encode())

    def put_ended(self, cell_id: str, number: int, *, replicates: int) -> None:
        self._ledger.put(f"{_FOLDER}/{cell_id}/{number}{_ENDED}", json.dumps({"replicates": replicates}).encode())

    def orders(self, cell_id: str) -> dict[str, int]:
        keys = [key for key in self._ledger.list(f"{_FOLDER}/{cell_id}/") if key.endswith(STOP_SUFFIX)]
        return {key.rpartition("/")[2].removesuffix(STOP_SUFFIX): ordered_stop(self._ledger, key) or 0 for key in keys}

    def put_order(self, cell_id: str, run_id: str, *, epoch: int) -> None:
        self._ledger.put(stop_key(cell_id, run_id), json.dumps({"epoch": epoch}).encode())

    def reopen(self, cell_id: str, numbers: Iterable[int]) -> None:
        """Forgets that settings ended early, before their runs are trained again."""
        ended = {f"{_FOLDER}/{cell_id}/{number}{_ENDED}" for number in numbers}
        for key in ended.intersection(self._ledger.list(f"{_FOLDER}/{cell_id}/")):
            self._ledger.delete(key)

    def reopen_searches(self, run_ids: Collection[str]) -> None:
        """The same for all settings of every search that has one of these runs: others were compared with them."""
        keys = self._ledger.list(f"{_FOLDER}/")
        for cell_id in {key.split("/")[1] for key in keys if key.endswith(_ENDED)}:
            settings = self.load(cell_id)
            if any(run["run_id"] in run_ids for record in settings.values() for run in record["runs"]):
                self.reopen(cell_id, settings)

    def begun(self, cell_id: str) -> dict[int, list[Record]]:
        """Runs of each setting that were or are to be trained: all, or those until it ended early."""
        ended = {key for key in self._ledger.list(f"{_FOLDER}/{cell_id}/") if key.endswith(_ENDED)}
        runs = {number: record["runs"] for number, record in self.load(cell_id).items()}
        for number in runs:
            if (key := f"{_FOLDER}/{cell_id}/{number}{_ENDED}") in ended:
                runs[number] = runs[number][: int(json.loads(self._ledger.get(key))["replicates"])]
        return runs

    def forget(self, cell_id: str) -> None:
        """Takes all settings of a search off the record."""
        for key in self._ledger.list(f"{_FOLDER}/{cell_id}/"):
            self._ledger.delete(key)

    def _read(self, key: str) -> Record:
        try:
            record = json.loads(self._ledger.get(key))
            if isinstance(record, dict) and isinstance(record["params"], dict) and isinstance(record["runs"], list):
                recorded_cutoffs(record)
                if record.get("incumbent") is None or record["incumbent"] in range(_number(key) or 0):
                    return record
                reason = f"it is compared with {record['incumbent']}, which is no earlier setting"
            else:
                reason = "it has no params or no runs"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error)
        raise LedgerError(
            f"{keyed(self._ledger.location, key)} is damaged ({reason}); restore it, or delete it to have it proposed "
            "again"
        )


def recorded_cutoffs(record: Record) -> dict[tuple[int, int | None], Cutoffs]:
    """(seed, fold) -> cutoffs of that run of a setting; none where its search stops nothing."""
    return {
        (run["seed"], run["fold"]): {int(epoch): float(value) for epoch, value in run.get("cutoffs", ())}
        for run in record["runs"]
    }


def stop_key(cell_id: str, run_id: str) -> str:
    """Where it stands that Ray Tune's scheduler stops a run."""
    return f"{_FOLDER}/{cell_id}/{run_id}{STOP_SUFFIX}"


def _key(cell_id: str, number: int) -> str:
    return f"{_FOLDER}/{cell_id}/{number}.json"


def _number(key: str) -> int | None:
    stem = key.rpartition("/")[2].removesuffix(".json")
    return int(stem) if stem.isdigit() else None
