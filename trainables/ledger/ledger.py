"""The ledger: every run of a study on record, and the only way to write to a results folder."""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainables.errors import LedgerError
from trainables.ledger import adoption, checkpoints, compaction, forgetting, live, reading
from trainables.ledger.catalog import Catalog
from trainables.ledger.checkpoints import Checkpoint, OnCorrupt, warn_corrupt
from trainables.ledger.errors import MissingKeyError
from trainables.ledger.folder import create_folder, open_folder, reopen_folder
from trainables.ledger.lease import require_current
from trainables.ledger.names import (
    Commit,
    Table,
    attempt_order,
    no_longer_needed,
    require_names,
    resolve,
)
from trainables.ledger.parts import commit_of, part_of
from trainables.ledger.places import keyed, resolved
from trainables.ledger.schema import SCHEMA_VERSION
from trainables.ledger.shards import Shard
from trainables.ledger.store import Keys, Store
from trainables.ledger.tables import Row

if TYPE_CHECKING:
    import pyarrow as pa

_PLAN_KEY = "plan.json"
Record = dict[str, Any]
Attempts = list[str]


class Ledger:
    """A results folder. Every method is safe to be killed in, and to be called again.

    Only `commit`, `read`, `compact` and `adopt` load pyarrow; the rest works on names, JSON and plain bytes.
    """

    def __init__(self, store: Store, *, shard: Shard | None = None) -> None:
        self._store, self._shard = store, shard
        self._catalog = Catalog(store)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False, shard: Shard | None = None) -> "Ledger":
        """The ledger in a folder.

        Args:
            path: the results folder, or its address in an object store: `s3://bucket/folder`.
            create: make it where nothing or an empty folder stands.
            shard: the part that the caller's driver trains; whose lease counts for what it writes.

        Raises:
            LedgerError: there is no such folder, it is not a results folder, or of another schema version.
        """
        folder = resolved(path)
        try:
            return cls(create_folder(folder) if create else open_folder(folder), shard=shard)
        except PermissionError as error:
            raise LedgerError(f"cannot look into {folder}: permission is missing; change its owner or mode") from error

    @classmethod
    def reopen(cls, location: str, *, shard: Shard | None = None) -> "Ledger":
        """The ledger in a folder that another process has opened: while it is away it is waited for."""
        return cls(reopen_folder(resolved(location)), shard=shard)

    @property
    def location(self) -> str:
        """Absolute path or address of the results folder; `open` takes it."""
        return self._store.location

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Stores an object, whole or not at all; see `Store.put`."""
        self._store.put(key, data, durable=durable)

    def get(self, key: str) -> bytes:
        """The object under a key.

        Raises:
            MissingKeyError: there is none.
        """
        return self._store.get(key)

    def exists(self, key: str) -> bool:
        """Whether an object stands under a key."""
        return self._store.exists(key)

    def delete(self, key: str) -> None:
        """Removes an object; an absent one is fine."""
        self._store.delete(key)

    def commits(self) -> dict[str, Commit]:
        """How each finished run ended, by run_id: `complete` wins, then the smallest attempt. Opens no part file."""
        return self._catalog.commits()

    def commit_of(self, run_id: str) -> Commit | None:
        """How one run ended; None where it has not."""
        return resolve(self._catalog.commits_of(run_id)).get(run_id)

    def attempts(self, run_id: str) -> Attempts:
        """Attempts of a run that left a trace, oldest first."""
        return sorted(live.traces_of(self._store, self._catalog, run_id), key=attempt_order)

    def new_attempt(self, run_id: str, *, generation: int) -> str:
        """Claims the next attempt of a run: `"0002_01"` is the first one under driver generation 2.

        Raises:
            StaleDriverError: a newer driver has taken over.
        """
        require_current(self._store, generation, shard=self._shard)
        return live.claim(self._store, self.attempts(run_id), run_id, generation=generation)

    def update_live(self, run_id: str, attempt: str, fields: Mapping[str, Any]) -> None:
        """Adds advisory facts about an attempt under way (JSON values), for `status`."""
        live.update(self._store, run_id, attempt, fields)

    def live(self) -> list[Record]:
        """What attempts under way said last; each record has `run_id` and `attempt`."""
        return live.under_way(self._store, self._catalog.all_commits())

    def save_checkpoint(
        self, run_id: str, attempt: str, epoch: int, payload: bytes, *, generation: int | None = None
    ) -> None:
        """Keeps the state after `epoch` epochs and the newest state of an earlier epoch, and no other.

        Args:
            run_id, attempt: whose state it is.
            epoch: progress of the run; rises over all its phases.
            payload: whatever going on needs, with all epoch rows so far.
            generation: the caller's driver generation, to stop when a newer driver has taken over.

        Raises:
            StaleDriverError: it has.
        """
        require_names(run_id, attempt)
        require_current(self._store, generation, shard=self._shard)
        checkpoints.save(self._store, run_id, attempt, epoch, payload)

    def checkpoints(self, run_id: str, *, on_corrupt: OnCorrupt = warn_corrupt) -> Iterator[Checkpoint]:
        """A run's usable checkpoints, the one with most epochs first.

        Args:
            run_id: the run.
            on_corrupt: called with place and reason for each checkpoint that is not whole; by default it warns.
        """
        return checkpoints.load(self._store, run_id, on_corrupt=on_corrupt)

    def commit(
        self,
        run_row: Row,
        *,
        epochs: Sequence[Row] = (),
        classes: Sequence[Row] = (),
        generation: int | None = None,
    ) -> None:
        """Records the end of a run: epochs and classes, then the run's row, which is the commit, then it tidies up.

        The rows take `run_id` and `attempt` from `run_row`, also those that came out of an older attempt's checkpoint.
        An attempt is committed once: a second call changes nothing.

        Args:
            run_row: columns of table `runs`, `status` complete, failed or pruned; absent ones are null.
            epochs, classes: rows of these tables.
            generation: the caller's driver generation, to stop when a newer driver has taken over.

        Raises:
            StaleDriverError: it has.
            LedgerError: a key that is no column, a value of another type, a disk that is full, ...
        """
        commit = commit_of(run_row)
        tables: dict[Table, Sequence[Row]] = {"epochs": epochs, "classes": classes, "runs": [run_row]}
        filled = [(table, rows) for table, rows in tables.items() if rows]
        parts = {f"{table}/{commit.row_name(table)}": part_of(table, commit, rows) for table, rows in filled}
        earlier = self._catalog.commits_of(commit.run_id)
        if commit.attempt not in (other.attempt for other in earlier):
            for key, data in parts.items():  # `runs` comes last
                require_current(self._store, generation, shard=self._shard)
                self._store.put(key, data)
        self._tidy_up(commit.run_id, [*earlier, commit])

    def finish(self, run_id: str) -> None:
        """Deletes the checkpoints and live records of a committed run; the last step of a commit, repeated at will.

        Raises:
            LedgerError: the run is not committed; its checkpoints are what it goes on from.
        """
        commits = self._catalog.commits_of(run_id)
        if not commits:
            raise LedgerError(f"run {run_id} is not committed in {self.location}: its checkpoints are still needed")
        self._tidy_up(run_id, commits)

    def sweep(self) -> None:
        """`finish` for every committed run at once, and `clean`; for a driver's start."""
        self._clear(self._catalog.all_commits(), self._store.list("checkpoints/") + self._store.list("live/"))
        self.clean()

    def clean(self) -> None:
        """Removes what writers that were killed long ago left behind."""
        self._store.clean()

    def read(
        self, table: Table, *, columns: Sequence[str] | None = None, run_ids: Collection[str] | None = None
    ) -> "pa.Table":
        """A table as it counts: the rows of one commit per run, no uncommitted rows, none twice.

        Args:
            table: runs, epochs or classes.
            columns: those to read, in this order; all by default.
            run_ids: of the runs to read; all by default.

        Raises:
            LedgerError: a part file is damaged or of another version; the message names it and the remedy.
        """
        return reading.read(self._store, self._catalog, table, columns=columns, run_ids=run_ids)

    def compact(self, *, minimum_parts: int = 200) -> int:
        """Joins part files where a table has at least `minimum_parts`; returns how many were joined.

        Readers may go on meanwhile, and so may writers. Deletes rows of attempts that can no longer count.
        """
        return compaction.compact(self._store, self._catalog, minimum_parts=minimum_parts)

    def adopt(self, other: "Ledger", *run_ids: str, origin: str | None = None) -> Attempts:
        """Copies the rows of complete runs from a sibling, with `origin` set to its location, or to what is given.

        What they kept for other runs comes with them. A run keeps its attempt, unless an attempt of that name left a
        trace here.

        Args:
            other: the sibling.
            run_ids: runs that are complete there.

        Returns:
            The runs that were copied: those that were not complete here already.

        Raises:
            LedgerError: a run is not complete in the sibling.
        """
        adopted = adoption.adopt((self._store, self._catalog), (other._store, other._catalog), run_ids, origin=origin)
        self.sweep()
        return adopted

    def forget(self, *run_ids: str) -> None:
        """Takes runs out: they count as never trained. Their rows are kept aside in `forgotten/`."""
        forgetting.forget(self._store, self._catalog, run_ids)

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Stores the plan (JSON values)."""
        text = json.dumps({**plan, "schema_version": SCHEMA_VERSION}, indent=1, ensure_ascii=False)
        self._store.put(_PLAN_KEY, text.encode())

    def read_plan(self) -> Record:
        """The plan of the last `dml-study run`.

        Raises:
            LedgerError: there is none, it is damaged, or of another version.
        """
        place = keyed(self.location, _PLAN_KEY)
        try:
            plan = json.loads(self._store.get(_PLAN_KEY))
        except MissingKeyError as error:
            raise LedgerError(f"{place} does not exist; `dml-study run` writes it") from error
        except ValueError as error:
            raise LedgerError(f"{place} is damaged ({error}); `dml-study run` writes it again") from error
        if not isinstance(plan, dict) or plan.get("schema_version") != SCHEMA_VERSION:
            raise LedgerError(f"{place} is of another version than {SCHEMA_VERSION}; `dml-study run` writes it again")
        return plan

    def _tidy_up(self, run_id: str, commits: Sequence[Commit]) -> None:
        self._clear(commits, self._store.list(f"checkpoints/{run_id}/") + self._store.list(f"live/{run_id}."))

    def _clear(self, commits: Sequence[Commit], found: Keys) -> None:
        for key in no_longer_needed(found, commits):
            self._store.delete(key)

    def list(self, *prefixes: str) -> Keys:
        """All keys that start with one of `prefixes`, which name one folder, sorted; `"folder/"` names all in it."""
        return self._store.list(*prefixes)
