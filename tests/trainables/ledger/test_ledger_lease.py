import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest
from ledger_tools import MemoryStore, run_name, run_row

from trainables.errors import LedgerError
from trainables.ledger import Lease, Ledger, StaleDriverError, current_generation
from trainables.ledger.lease import Driver, holder, read_driver
from trainables.ledger.process import _from_ps, own_start_time, process_start_time


class Time:
    """A clock that only sleeping moves; what is due on the way happens."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[tuple[float, Callable[[], None]]] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for at, event in [due for due in self.events if due[0] <= self.now]:
            self.events.remove((at, event))
            event()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ledger(place: str) -> Ledger:
    return Ledger.open(place, create=True)


def lease_of(ledger: Ledger, time: Time) -> Lease:
    return Lease(ledger, clock=time.clock, sleep=time.sleep)


def write(ledger: Ledger, driver: Driver) -> None:
    ledger.put("driver.json", json.dumps(asdict(driver)).encode())


ELSEWHERE = Driver(4, "node17", 321, "99", "2025-01-01T00:00:00+00:00", "their-token")


def test_generation_counts_drivers(ledger: Ledger, time: Time) -> None:
    assert current_generation(ledger) == 0 and holder(ledger) is None
    for generation in (1, 2, 3):
        lease = lease_of(ledger, time)
        assert lease.acquire() == generation == lease.generation == current_generation(ledger)
        held = holder(ledger)
        assert held is not None and (held.pid, held.host) == (os.getpid(), socket.gethostname())
        lease.release()
        assert holder(ledger) is None and current_generation(ledger) == generation


def test_driver_file_says_who_drives(ledger: Ledger, time: Time) -> None:
    lease_of(ledger, time).acquire()
    content = json.loads(ledger.get("driver.json"))
    assert set(content) == {"generation", "host", "pid", "process_start_time", "renewed_at", "token"}
    assert content["process_start_time"] == process_start_time(os.getpid()) == own_start_time()


def test_living_driver_on_this_host_is_not_disturbed(ledger: Ledger, time: Time) -> None:
    first = lease_of(ledger, time)
    first.acquire()
    with pytest.raises(LedgerError, match="another `dml-study run` is working on this folder") as caught:
        lease_of(ledger, time).acquire()
    assert f"process {os.getpid()} on host {socket.gethostname()}" in str(caught.value)
    assert time.now < 1001
    first.renew()
    assert current_generation(ledger) == 1


def test_dead_driver_on_this_host_is_replaced_at_once(ledger: Ledger, time: Time) -> None:
    code = "import sys, time\nfrom trainables.ledger import *\nLease(Ledger.open(sys.argv[1])).acquire()\nprint('up')\n"
    command = [sys.executable, "-u", "-c", code + "time.sleep(60)", ledger.location]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as driver:
        try:
            assert driver.stdout is not None and driver.stdout.readline() == b"up\n"
            with pytest.raises(LedgerError, match=f"process {driver.pid} "):
                lease_of(ledger, time).acquire()
        finally:
            driver.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, driver.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie until it is waited for
        assert process_start_time(driver.pid) is None
        assert lease_of(ledger, time).acquire() == 2
    assert time.now < 1001


def test_process_number_given_out_again_does_not_count(ledger: Ledger, time: Time) -> None:
    write(ledger, replace(ELSEWHERE, host=socket.gethostname(), pid=os.getpid()))
    assert lease_of(ledger, time).acquire() == 5


def test_silent_driver_elsewhere_is_replaced_after_a_minute(ledger: Ledger, time: Time) -> None:
    write(ledger, ELSEWHERE)
    messages: list[str] = []
    lease = Lease(ledger, clock=time.clock, sleep=time.sleep, on_wait=messages.append)
    assert lease.acquire() == 5
    assert 1060 <= time.now < 1062
    assert messages == ["waiting up to 60 s to see whether process 321 on host node17 is alive"]
    assert Lease(MemoryStore(), patience=5, sleep=time.sleep).acquire() == 1


def test_driver_elsewhere_that_renews_is_alive_whatever_its_clock_says(ledger: Ledger, time: Time) -> None:
    write(ledger, ELSEWHERE)
    renewed = replace(ELSEWHERE, renewed_at="1970-01-01T00:00:00+00:00")
    time.events.append((1050, lambda: write(ledger, renewed)))
    with pytest.raises(LedgerError, match=r"working on this folder.*process 321 on host node17"):
        lease_of(ledger, time).acquire()
    assert read_driver(ledger) == renewed


def test_driver_elsewhere_that_lets_go_is_followed_at_once(ledger: Ledger, time: Time) -> None:
    write(ledger, ELSEWHERE)
    time.events.append((1005, lambda: write(ledger, replace(ELSEWHERE, token=""))))
    assert lease_of(ledger, time).acquire() == 5
    assert time.now < 1010


def test_of_two_that_start_together_one_gives_way(ledger: Ledger, time: Time) -> None:
    rival = replace(ELSEWHERE, generation=1)
    time.events.append((1000, lambda: write(ledger, rival)))  # while the first one lets its own entry settle
    lease = lease_of(ledger, time)
    with pytest.raises(LedgerError, match="process 321 on host node17"):
        lease.acquire()
    assert read_driver(ledger) == rival
    with pytest.raises(LedgerError, match=r"no lease of .* is held"):
        lease.renew()


def test_renewal_changes_the_file_and_notices_a_successor(ledger: Ledger, time: Time) -> None:
    lease = lease_of(ledger, time)
    lease.acquire()
    before = read_driver(ledger)
    lease.renew()
    after = read_driver(ledger)
    assert before is not None and after is not None
    assert replace(after, renewed_at=before.renewed_at) == before != after
    write(ledger, ELSEWHERE)
    with pytest.raises(LedgerError, match="process 321 on host node17"):
        lease.renew()
    lease.release()
    assert read_driver(ledger) == ELSEWHERE


def test_belated_renewal_of_a_replaced_driver_does_not_oust_its_successor(ledger: Ledger, time: Time) -> None:
    lease = lease_of(ledger, time)
    write(ledger, replace(ELSEWHERE, token=""))
    lease.acquire()
    write(ledger, ELSEWHERE)  # generation 4 had read its own entry before it was replaced
    lease.renew()
    assert current_generation(ledger) == 5
    write(ledger, ELSEWHERE)
    lease.release()
    assert current_generation(ledger) == 5 and holder(ledger) is None


def test_lease_is_renewed_by_a_thread_and_released(ledger: Ledger) -> None:
    renewals, enough = [], threading.Event()
    put = ledger.put

    def spy(key: str, data: bytes, *, durable: bool = True) -> None:
        put(key, data, durable=durable)
        if key == "driver.json":
            renewals.append(json.loads(data)["renewed_at"])
        if len(renewals) == 4:
            enough.set()

    ledger.put = spy  # type: ignore[method-assign]
    with Lease(ledger, interval=0.01, sleep=lambda seconds: None) as lease:
        assert enough.wait(30)
        lease.check()
        assert holder(ledger) is not None
    assert holder(ledger) is None
    assert renewals == sorted(set(renewals))
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_failed_renewal_comes_up_in_check(ledger: Ledger) -> None:
    lease = Lease(ledger, interval=0.01, sleep=lambda seconds: None)
    with pytest.raises(RuntimeError, match="driver stops"), lease:
        write(ledger, ELSEWHERE)
        lease._thread.join(30)  # type: ignore[union-attr]
        with pytest.raises(LedgerError, match=r"the lease of .* is lost: another .* process 321 on host node17"):
            lease.check()
        raise RuntimeError("driver stops")
    assert read_driver(ledger) == ELSEWHERE


def test_failed_renewal_that_nobody_checked_comes_up_at_the_end(ledger: Ledger) -> None:
    def fail(key: str, data: bytes, *, durable: bool = True) -> None:
        raise LedgerError("the disk is full")

    put = ledger.put
    lease = Lease(ledger, interval=0.01, sleep=lambda seconds: None)
    with pytest.raises(LedgerError, match="is lost: the disk is full") as caught, lease:
        ledger.put = fail  # type: ignore[method-assign]
        lease._thread.join(30)  # type: ignore[union-attr]
        ledger.put = put  # type: ignore[method-assign]
    assert str(caught.value.__cause__) == "the disk is full"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"generation": "x"}', '{"generation": 1}'])
def test_damaged_driver_file(ledger: Ledger, time: Time, text: str) -> None:
    ledger.put("driver.json", text.encode())
    with pytest.raises(LedgerError, match=r"driver\.json is damaged .*; delete it if no `dml-study run` works"):
        lease_of(ledger, time).acquire()


def test_writer_of_an_older_generation_is_refused(ledger: Ledger) -> None:
    run_id = run_name(1)
    write(ledger, ELSEWHERE)
    attempt = ledger.new_attempt(run_id, generation=4)
    ledger.save_checkpoint(run_id, attempt, 1, b"", generation=4)
    write(ledger, replace(ELSEWHERE, generation=5))
    before = ledger.list("")
    for action in (
        lambda: ledger.new_attempt(run_id, generation=4),
        lambda: ledger.save_checkpoint(run_id, attempt, 2, b"", generation=4),
        lambda: ledger.commit(run_row(run_id, attempt), epochs=[{"epoch": 1}], generation=4),
    ):
        with pytest.raises(StaleDriverError, match=r"taken over by generation 5 \(process 321 on node17\)"):
            action()
    assert ledger.list("") == before
    ledger.commit(run_row(run_id, attempt), generation=5)
    assert run_id in ledger.commits()


def test_start_times_tell_processes_apart() -> None:
    sources = [process_start_time, _from_ps] if shutil.which("ps") else [process_start_time]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        for start_time in sources:
            assert start_time(child.pid) == start_time(child.pid) is not None
        assert process_start_time(child.pid) != own_start_time()
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
    assert [start_time(child.pid) for start_time in sources] == [None] * len(sources)
