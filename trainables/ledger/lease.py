"""One driver at a time works on a results folder. This prevents waste; the write protocol is correct without it."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from uuid import uuid4

from trainables.errors import LedgerError
from trainables.ledger.errors import MissingKeyError, StaleDriverError
from trainables.ledger.generations import new_generation
from trainables.ledger.haste import at_once
from trainables.ledger.places import keyed
from trainables.ledger.process import own_start_time, process_start_time
from trainables.ledger.shards import FOLDER, Shard, is_lease
from trainables.ledger.store import Store

DRIVER_KEY = "driver.json"
_SETTLE_SECONDS, _POLL_SECONDS = 0.2, 1.0


@dataclass(frozen=True)
class Driver:
    """Content of `driver.json`: who drives, and which generation; a released lease has no token."""

    generation: int
    host: str
    pid: int
    process_start_time: str
    renewed_at: str
    token: str

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this host."""
        return self.host == socket.gethostname()

    @property
    def gone(self) -> bool:
        """Whether its process on this host ended; another process may have its number by now."""
        return self.here and process_start_time(self.pid) != self.process_start_time


def read_driver(store: Store, key: str = DRIVER_KEY) -> Driver | None:
    """The last driver of a results folder or of a shard, or None before the first.

    Raises:
        LedgerError: the file is not what a driver wrote.
    """
    try:
        driver = Driver(**json.loads(store.get(key)))
        return replace(driver, generation=int(driver.generation), pid=int(driver.pid))
    except MissingKeyError:
        return None
    except (ValueError, TypeError) as error:
        place = keyed(store.location, key)
        raise LedgerError(
            f"{place} is damaged ({error}); delete it if no `dml-study run` works on this folder"
        ) from error


def holders(store: Store) -> list[Driver]:
    """The drivers that hold a results folder, several of them with shards; on another host one may have died within
    the last minute."""
    return [driver for driver in _drivers(store).values() if driver.token and not driver.gone]


def holder(store: Store) -> Driver | None:
    """The driver that holds a results folder, or the first of several."""
    return next(iter(holders(store)), None)


def current_generation(store: Store) -> int:
    """The largest generation of any driver, 0 before the first."""
    return max((driver.generation for driver in _drivers(store).values()), default=0)


def require_current(store: Store, generation: int | None, *, shard: Shard | None = None) -> None:
    """Raises StaleDriverError when a newer driver than `generation` has taken over; None is never stale.

    Drivers of the other shards have other runs and take nothing over.
    """
    if generation is None:
        return
    for driver in _drivers(store, shard).values():
        if driver.generation > generation:
            raise StaleDriverError(
                f"generation {generation} of {store.location} was taken over by generation {driver.generation} "
                f"(process {driver.pid} on {driver.host}); this process stops writing"
            )


def _drivers(store: Store, shard: Shard | None = None) -> dict[str, Driver]:
    """Key -> the last driver of each lease, of those alone that would train runs of `shard`."""
    keys = [DRIVER_KEY, *filter(is_lease, store.list(FOLDER))]
    found = {key: read_driver(store, key) for key in keys if shard is None or shard.excludes(key)}
    return {key: driver for key, driver in found.items() if driver is not None}


class Lease:
    """The right to drive a results folder, renewed by a thread inside `with lease:`.

    Args:
        store: the ledger, or its store.
        shard: the part of the runs that this driver trains; None for all.
        interval: seconds between renewals.
        patience: seconds without a change after which a driver on another host counts as dead.
        on_wait: called with a message when acquiring has to wait for that.
        clock, sleep: replaced in tests.
    """

    def __init__(
        self,
        store: Store,
        *,
        shard: Shard | None = None,
        interval: float = 10.0,
        patience: float = 60.0,
        on_wait: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._interval, self._patience = store, interval, patience
        self._shard, self._key = shard, shard.key if shard else DRIVER_KEY
        self._on_wait, self._clock, self._sleep = on_wait, clock, sleep
        self._mine: Driver | None = None
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def generation(self) -> int:
        """Number of this driver; attempts are named after it."""
        return self._held().generation

    def acquire(self) -> int:
        """Takes the lease and returns the new generation.

        Raises:
            LedgerError: another driver is alive; the message names its host and process.
        """
        self._wait_until_free()
        token = uuid4().hex
        last = current_generation(self._store)
        self._mine = Driver(
            generation=new_generation(self._store, last, token=token, sleep=self._sleep),
            host=socket.gethostname(),
            pid=os.getpid(),
            process_start_time=own_start_time(),
            renewed_at=_now(),
            token=token,
        )
        self._write(self._mine)
        self._sleep(_SETTLE_SECONDS)  # of two that start together, the later write wins
        if rival := self._rival():
            self.release()
            raise self._busy(rival)
        return self._mine.generation

    def renew(self) -> None:
        """Says that this driver is alive.

        Raises:
            LedgerError: the lease was taken over, or cannot be written.
        """
        if rival := self._rival():
            raise self._busy(rival)
        self._mine = replace(self._held(), renewed_at=_now())
        self._write(self._mine)

    def release(self) -> None:
        """Lets the next driver start at once; the generation is kept."""
        if self._successor(self._key) is None:
            self._write(replace(self._held(), token="", renewed_at=_now()))
        self._mine = None

    def check(self) -> None:
        """Raises what kept the thread from renewing, if anything did; a driver calls it between steps."""
        if self._failure is not None:
            raise LedgerError(f"the lease of {self._store.location} is lost: {self._failure}") from self._failure

    def __enter__(self) -> Self:
        self.acquire()
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep_renewing, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if kind is KeyboardInterrupt:
            at_once(self._leave)
            return
        self._leave()
        if error is None:
            self.check()

    def _leave(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self.release()

    def _keep_renewing(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.renew()
            except Exception as error:  # noqa: BLE001  a thread has no caller: `check` raises it
                self._failure = error
                return

    def _wait_until_free(self) -> None:
        """Watches drivers on other hosts, all at once, until they are known to be dead."""
        watched, since = self._alive(), self._clock()
        if self._on_wait and (elsewhere := [driver for driver in watched.values() if not driver.here]):
            names = ", ".join(map(_named, elsewhere))
            self._on_wait(f"waiting up to {self._patience:.0f} s to see whether {names} is alive")
        while watched:
            if here := next((driver for driver in watched.values() if driver.here), None):
                raise self._busy(here)
            if self._clock() - since >= self._patience:
                return
            self._sleep(min(_POLL_SECONDS, self._patience))
            latest = self._alive()
            if changed := next((driver for key, driver in latest.items() if driver != watched.get(key)), None):
                raise self._busy(changed)
            watched = latest

    def _alive(self) -> dict[str, Driver]:
        """Drivers that would train the same runs, unless they released their lease or are known to be gone."""
        found = _drivers(self._store, self._shard)
        return {key: driver for key, driver in found.items() if driver.token and not driver.gone}

    def _rival(self) -> Driver | None:
        """Who took the lease over, if anybody did: with this key, or with another one and the same runs."""
        keys = [self._key, *(key for key in self._alive() if key != self._key)]
        return next(filter(None, map(self._successor, keys)), None)

    def _successor(self, key: str) -> Driver | None:
        mine, driver = self._held(), read_driver(self._store, key)
        # A smaller generation is the belated renewal of a driver that was replaced; it stops at its next one.
        taken = driver is not None and driver.token != mine.token and driver.generation >= mine.generation
        return driver if taken else None

    def _held(self) -> Driver:
        if self._mine is None:
            raise LedgerError(f"no lease of {self._store.location} is held; acquire it first")
        return self._mine

    def _busy(self, driver: Driver) -> LedgerError:
        return LedgerError(
            f"another `dml-study run` is working on this folder, {self._store.location}: {_named(driver)}; "
            "wait for it, or stop it and run the same command again"
        )

    def _write(self, driver: Driver) -> None:
        self._store.put(self._key, json.dumps(asdict(driver)).encode())


def _named(driver: Driver) -> str:
    return f"process {driver.pid} on host {driver.host}"


def _now() -> str:
    return datetime.now(UTC).isoformat()
