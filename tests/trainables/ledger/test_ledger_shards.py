"""Shards: drivers side by side on one folder, and who is refused."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from trainables.errors import ConfigError, LedgerError
from trainables.ledger import Lease, Ledger, StaleDriverError, current_generation
from trainables.ledger.lease import Driver, holders, require_current
from trainables.ledger.shards import Shard

RUN = "0" * 16


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def lease(ledger: Ledger, shard: str | None, *, told: list[str] | None = None) -> Lease:
    time = Time()
    part = Shard.parse(shard) if shard else None
    tell = None if told is None else told.append
    return Lease(ledger, shard=part, clock=lambda: time.now, sleep=time.sleep, on_wait=tell)


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "a/b", "-1/2", "1/2/3"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(ConfigError, match="should be i/n with i from 1 to n, such as 3/8"):
        Shard.parse(text)


def test_shards_of_one_count_work_side_by_side(ledger: Ledger) -> None:
    drivers = [lease(ledger, f"{index}/3") for index in (1, 2, 3)]
    assert len({driver.acquire() for driver in drivers}) == 3
    assert len(holders(ledger)) == 3
    for driver in drivers:
        driver.renew()
    for driver in drivers:
        driver.release()
    assert holders(ledger) == []


@pytest.mark.parametrize(
    ("first", "second"), [("1/3", "1/3"), ("1/3", None), (None, "1/3"), ("1/3", "2/4"), ("2/4", "1/2")]
)
def test_drivers_with_common_runs_refuse_each_other(ledger: Ledger, first: str | None, second: str | None) -> None:
    held = lease(ledger, first)
    held.acquire()
    with pytest.raises(LedgerError, match="another `dml-study run` is working on this folder"):
        lease(ledger, second).acquire()
    held.renew()
    held.release()
    assert lease(ledger, second).acquire() > 1


def test_shards_that_start_at_the_same_moment_get_different_generations(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainables.ledger import lease as leases

    monkeypatch.setattr(leases, "current_generation", lambda store: 5)
    assert len({lease(ledger, f"{index}/4").acquire() for index in (1, 2, 3, 4)}) == 4


def test_generations_grow_over_all_leases(ledger: Ledger) -> None:
    seen = []
    for shard in ("1/2", None, "2/2", "1/3", None, "1/2"):
        held = lease(ledger, shard)
        seen.append(held.acquire())
        held.release()
        assert current_generation(ledger) == seen[-1]
    assert seen == sorted(set(seen))


def test_a_worker_is_stale_when_its_runs_were_taken_over_and_not_when_another_shard_starts(ledger: Ledger) -> None:
    one = lease(ledger, "1/2")
    generation = one.acquire()
    lease(ledger, "2/2").acquire()
    mine = Ledger.open(ledger.location, shard=Shard(1, 2))
    attempt = mine.new_attempt(RUN, generation=generation)
    mine.save_checkpoint(RUN, attempt, 1, b"state", generation=generation)
    one.release()
    again = lease(ledger, "1/2")
    again.acquire()
    with pytest.raises(StaleDriverError):
        mine.save_checkpoint(RUN, attempt, 2, b"state", generation=generation)
    with pytest.raises(StaleDriverError):
        mine.commit({"run_id": RUN, "attempt": attempt, "status": "complete"}, generation=generation)
    assert mine.commits() == {}


def test_a_worker_of_a_shard_is_stale_after_a_driver_of_everything(ledger: Ledger) -> None:
    shard = lease(ledger, "1/2")
    generation = shard.acquire()
    shard.release()
    require_current(ledger, generation, shard=Shard(1, 2))
    whole = lease(ledger, None)
    whole.acquire()
    whole.release()
    with pytest.raises(StaleDriverError):
        require_current(ledger, generation, shard=Shard(1, 2))


def elsewhere(ledger: Ledger, key: str, generation: int) -> None:
    driver = Driver(generation, "node17", 321, "99", "2025-01-01T00:00:00+00:00", "their-token")
    ledger.put(key, json.dumps(asdict(driver)).encode())


def test_dead_shards_on_other_hosts_are_watched_all_at_once(ledger: Ledger) -> None:
    for index in range(1, 65):
        elsewhere(ledger, Shard(index, 64).key, generation=index)
    told: list[str] = []
    time = Time()
    whole = Lease(ledger, clock=lambda: time.now, sleep=time.sleep, on_wait=told.append)
    assert whole.acquire() == 65
    assert 60 <= time.now < 65 and len(told) == 1


def test_a_driver_that_was_thought_dead_stops_and_its_successor_goes_on(ledger: Ledger) -> None:
    frozen = lease(ledger, "1/2")
    frozen.acquire()
    driver = holders(ledger)[0]
    elsewhere(ledger, Shard(1, 2).key, generation=driver.generation)  # as if on another host
    whole = lease(ledger, None)
    whole.acquire()
    ledger.put(Shard(1, 2).key, json.dumps(asdict(driver)).encode())  # it wakes up
    with pytest.raises(LedgerError, match="another `dml-study run`"):
        frozen.renew()
    whole.renew()
