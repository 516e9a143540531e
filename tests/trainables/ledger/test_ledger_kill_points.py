"""A study that is killed anywhere, once or twice, and started again ends with the tables of an undisturbed one."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ledger_tools import MemoryStore, resolved, run_name, run_row

from trainables.ledger import Ledger, StaleDriverError, current_generation
from trainables.ledger.store import LocalStore

EPOCHS = {run_name(0): 3, run_name(1): 1}
"""Three epochs delete a checkpoint; the compaction after the second run absorbs the one after the first."""


class Kill(BaseException):
    """The process is gone: no handler for errors may see it."""


@dataclass
class Witness:
    """Sees which runs were ever committed, however the ledger forgets."""

    committed: set[str] = field(default_factory=set)
    trained: int = 0

    def see(self, kind: str, key: str) -> None:
        if kind == "put" and key.startswith("runs/") and key.endswith(".complete.parquet"):
            self.committed.add(key.removeprefix("runs/").partition(".")[0])


def new_generation(ledger: Ledger) -> int:
    generation = current_generation(ledger) + 1
    driver = {"generation": generation, "host": "h", "pid": 1, "process_start_time": "", "renewed_at": "", "token": "t"}
    ledger.put("driver.json", json.dumps(driver).encode())
    return generation


def drive(ledger: Ledger, witness: Witness) -> None:
    """One start of the command: everything that is due is trained, committed and compacted."""
    generation = new_generation(ledger)
    ledger.sweep()
    for run_id in EPOCHS:
        if run_id not in ledger.commits():
            train(ledger, witness, run_id, generation=generation)
        ledger.compact(minimum_parts=1)


def train(ledger: Ledger, witness: Witness, run_id: str, *, generation: int, fence: int | None = None) -> None:
    attempt = ledger.new_attempt(run_id, generation=generation)
    saved = next(ledger.checkpoints(run_id), None)
    state, rows = json.loads(saved.payload) if saved else (int(run_id, 16) + 0.1, [])
    for epoch in range(saved.epoch + 1 if saved else 1, EPOCHS[run_id] + 1):
        assert run_id not in witness.committed, "trained after its commit"
        witness.trained += 1
        state = (state * 3.7 + epoch) % 1.0
        rows = [*rows, {"epoch": epoch, "train_loss": state, "extra": {"test_recall_at_2": state / 2}}]
        ledger.update_live(run_id, attempt, {"epoch": epoch})
        ledger.save_checkpoint(run_id, attempt, epoch, json.dumps([state, rows]).encode(), generation=fence)
    classes = [{"class_index": index, "recall_at_1": state / (index + 1)} for index in range(2)]
    ledger.commit(run_row(run_id, attempt, test_map_at_r=state), epochs=rows, classes=classes, generation=fence)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, list[dict[str, Any]]]:
    ledger = Ledger(MemoryStore())
    drive(ledger, Witness())
    tables = resolved(ledger)
    assert [len(tables[table]) for table in ("runs", "epochs", "classes")] == [2, 4, 4]
    return tables


def contains(whole: dict[str, list[Any]], part: dict[str, list[Any]]) -> bool:
    return all(all(part[table].count(row) <= whole[table].count(row) for row in part[table]) for table in whole)


class KillingStore(LocalStore):
    """Dies after its n-th mutation of the disk; writing a temporary file and renaming it are two."""

    def __init__(self, root: Path, survives: float, witness: Witness) -> None:
        super().__init__(root)
        self.left, self.witness = survives, witness

    def _spend(self) -> None:
        if self.left <= 0:
            raise Kill
        self.left -= 1

    def _stage(self, temporary: Path, data: bytes, *, durable: bool) -> None:
        self._spend()
        super()._stage(temporary, data, durable=False)

    def _publish(self, temporary: Path, path: Path, *, durable: bool) -> None:
        self._spend()
        super()._publish(temporary, path, durable=False)
        self.witness.see("put", path.relative_to(self.root).as_posix())

    def delete(self, key: str) -> None:
        self._spend()
        super().delete(key)


def test_one_kill_at_every_point_of_a_local_study(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    kills = 0
    while True:
        root, witness = tmp_path / str(kills), Witness()
        try:
            drive(Ledger(KillingStore(root, kills, witness)), witness)
            break
        except Kill:
            kills += 1
        assert contains(undisturbed, resolved(Ledger(LocalStore(root)))), f"wrong rows after kill {kills}"
        drive(Ledger(KillingStore(root, float("inf"), witness)), witness)
        assert resolved(Ledger(LocalStore(root))) == undisturbed, f"wrong ledger after kill {kills}"
        assert witness.trained <= 5, "a kill costs one epoch at most"
    assert kills > 60  # every mutation was a kill point; the last start was not killed


@dataclass
class Moment:
    """What is on disk after one mutation, and what the witness knows by then."""

    objects: dict[str, bytes]
    committed: set[str]

    def key(self) -> int:
        """Equal for moments after which everything goes alike: of live records only the names count."""
        counting = {key: b"" if key.startswith("live/") else data for key, data in self.objects.items()}
        return hash((frozenset(counting.items()), frozenset(self.committed)))


def moments(start: Moment, action: Callable[[Ledger, Witness], None]) -> tuple[list[Moment], Ledger]:
    """Every state that a kill during `action` can leave, and the ledger after it."""
    store, witness, seen = MemoryStore(start.objects), Witness(set(start.committed)), [start]

    def after(kind: str, key: str) -> None:
        witness.see(kind, key)
        seen.append(Moment(dict(store.objects), set(witness.committed)))

    store.after = after
    action(Ledger(store), witness)
    return seen, Ledger(store)


def test_two_kills_at_every_pair_of_points(undisturbed: dict[str, Any]) -> None:
    checked: set[int] = set()
    pairs = 0
    first, _ = moments(Moment({}, set()), drive)
    for once_killed in first:
        second, ledger = moments(once_killed, drive)
        assert resolved(ledger) == undisturbed
        for twice_killed in second:
            pairs += 1
            if twice_killed.key() not in checked:
                checked.add(twice_killed.key())
                _, ledger = moments(twice_killed, drive)
                assert resolved(ledger) == undisturbed
    assert pairs > 1000


def interrupted_by(pause: int, other: Callable[[Ledger], None]) -> Ledger:
    """A ledger whose writer sleeps ahead of its n-th mutation while `other` works on the same objects."""
    sleeper, awake = MemoryStore(), MemoryStore()
    awake.objects = sleeper.objects
    mutations = itertools.count(1)

    def before(kind: str, key: str) -> None:
        if next(mutations) == pause:
            other(Ledger(awake))

    sleeper.before = before
    return Ledger(sleeper)


@pytest.mark.parametrize("sleeper", ["older", "younger"])
@pytest.mark.parametrize("pause", range(1, 15))
def test_late_commit_of_another_attempt_is_absorbed(pause: int, sleeper: str, undisturbed: dict[str, Any]) -> None:
    """Without the generation check: the rule `complete wins, then the smallest attempt` alone."""
    own, others = {"older": (1, 2), "younger": (2, 1)}[sleeper]

    def other(ledger: Ledger) -> None:
        for run_id in EPOCHS:
            train(ledger, Witness(), run_id, generation=others)
        ledger.compact(minimum_parts=1)

    ledger = interrupted_by(pause, other)
    train(ledger, Witness(), run_name(0), generation=own)
    assert resolved(ledger) == undisturbed
    assert ledger.commits()[run_name(0)].attempt == "0001_01"
    ledger.compact(minimum_parts=1)
    assert resolved(ledger) == undisturbed
    assert ledger.commits()[run_name(0)].attempt == "0001_01"


@pytest.mark.parametrize("pause", range(2, 12))
def test_writer_of_an_older_generation_stops_before_its_commit(pause: int) -> None:
    ledger = interrupted_by(pause, lambda other: None if new_generation(other) == 2 else pytest.fail("one driver"))
    generation = new_generation(ledger)
    with pytest.raises(StaleDriverError, match=r"generation 1 .* was taken over by generation 2"):
        train(ledger, Witness(), run_name(0), generation=generation, fence=generation)
    assert ledger.list("runs/") == []
