"""Results on an S3-compatible server: whole objects or none, whatever the connection does."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from ledger_tools import commit_runs, resolved, run_name
from s3_server import KEY_ID, SECRET, S3Server

import analysis
from trainables.errors import LedgerError
from trainables.ledger import TABLES, Lease, Ledger, MissingKeyError
from trainables.ledger.folder import has_results, results_beside
from trainables.ledger.object_store import ObjectStore
from trainables.ledger.patience import Patience

RUN = run_name(1)
LARGE = bytes(range(256)) * (48 * 1024)  # 12 MiB: travels in parts


def _store(server: S3Server, **options: Any) -> ObjectStore:
    address = server.uri("bucket/results/s")
    return ObjectStore(address, patience=Patience(address, **options))


@pytest.fixture
def store(server: S3Server) -> ObjectStore:
    return _store(server, sleep=lambda seconds: None)


class Faulty:
    """Answers the first requests that fit with a fault."""

    def __init__(self, fault: str, *, times: float, method: str = "", key: str = "") -> None:
        self.fault, self.left, self.method, self.key = fault, times, method, key
        self.seen = 0

    def __call__(self, method: str, key: str) -> str | None:
        if self.left <= 0 or self.method not in ("", method) or self.key not in key:
            return None
        self.left -= 1
        self.seen += 1
        return self.fault


def test_objects_come_back_and_go(server: S3Server, store: ObjectStore) -> None:
    store.put("a/b/c", b"one")
    store.put("a/b/c", b"two", durable=False)
    assert store.get("a/b/c") == b"two"
    assert store.exists("a/b/c") and not store.exists("a/b")
    store.delete("a/b/c")
    store.delete("a/b/c")
    assert not store.exists("a/b/c")
    with pytest.raises(MissingKeyError, match="s3://bucket/results/s/a/b/c does not exist"):
        store.get("a/b/c")
    store.put("empty", b"")
    assert store.get("empty") == b"" and server.keys() == ["bucket/results/s/empty"]


def test_list_gives_keys_by_prefix_over_many_pages(server: S3Server, store: ObjectStore) -> None:
    server.page = 2
    for key in ("runs/b", "runs/a", "runsx", "checkpoints/r1/1", "checkpoints/r2/1", "top"):
        store.put(key, b"")
    ObjectStore(server.uri("bucket/results/s2")).put("runs/other", b"")
    store.put("runs/gone", b"")
    store.delete("runs/gone")
    assert store.list("runs/") == ["runs/a", "runs/b"]
    assert store.list("runs") == ["runs/a", "runs/b", "runsx"]
    assert store.list("checkpoints/r1/") == ["checkpoints/r1/1"]
    assert store.list("runs/b", "runs/a") == ["runs/a", "runs/b"]
    assert store.list("checkpoints/r") == ["checkpoints/r1/1", "checkpoints/r2/1"]
    assert store.list("absent/") == []
    assert len(store.list("")) == 6
    assert store.names() == ["checkpoints", "runs", "runsx", "top"]


@pytest.mark.parametrize("key", ["/etc/passwd", "../x", "a/../../x"])
def test_keys_stay_inside_the_folder(store: ObjectStore, key: str) -> None:
    with pytest.raises(LedgerError, match="relative paths"):
        store.put(key, b"")


def test_a_small_object_is_one_request(server: S3Server, store: ObjectStore) -> None:
    server.requests.clear()
    store.put("runs/x", b"x" * 1_000_000)
    assert server.requests == [("PUT", "bucket/results/s/runs/x")]


@pytest.mark.parametrize("fault", ["503", "reset", "lost"])
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
def test_errors_that_pass_are_waited_for(server: S3Server, store: ObjectStore, fault: str, method: str) -> None:
    store.put("runs/x", b"old")
    server.fault = faulty = Faulty(fault, times=2, method=method)
    store.put("runs/x", b"new")
    assert store.get("runs/x") == b"new" and store.list("runs/") == ["runs/x"]
    store.delete("runs/x")
    assert faulty.seen == 2 and not store.exists("runs/x")


@pytest.mark.slow  # pyarrow's own tries take 6 s
@pytest.mark.parametrize("fault", ["503", "reset"])
def test_a_storage_that_stays_away_is_named_with_a_remedy(server: S3Server, fault: str) -> None:
    store = _store(server, pauses=())
    store.put("runs/x", b"old")
    server.fault = Faulty(fault, times=1e9, method="PUT")
    with pytest.raises(LedgerError, match=r"cannot write s3://bucket/results/s/runs/x: .*then run the same") as caught:
        store.put("runs/x", b"new")
    assert SECRET not in str(caught.value) and "endpoint_override=" not in str(caught.value).partition(":")[0]
    server.fault = lambda method, key: None
    assert store.get("runs/x") == b"old"


def test_pauses_grow_once_the_storage_was_there(server: S3Server) -> None:
    pauses: list[float] = []
    store = _store(server, sleep=pauses.append)
    store.put("runs/x", b"old")
    failing = iter([OSError("busy")] * 4)
    files = store._files

    class Busy:
        def get_file_info(self, path: str) -> object:
            for error in failing:
                raise error
            return files.get_file_info(path)

    store._files = Busy()
    assert store.exists("runs/x")
    assert pauses == [1.0, 4.0, 15.0, 30.0]


def test_missing_bucket_credentials_and_connection(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LedgerError, match="no such bucket: create it"):
        Ledger.open(server.uri("absent/results/s"), create=True)
    server.fault = lambda method, key: "403"
    with pytest.raises(LedgerError, match=r"ACCESS_DENIED.*check the credentials"):
        Ledger.open(server.uri("bucket/results/s"), create=True)
    server.fault = lambda method, key: None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    with pytest.raises(LedgerError, match="check the credentials") as caught:
        ObjectStore(server.uri("bucket/results/s")).put("runs/x", b"")
    assert SECRET not in str(caught.value)
    with pytest.raises(LedgerError, match=r"cannot open thing://bucket/x: .*check the address"):
        Ledger.open("thing://bucket/x")


@pytest.mark.slow  # pyarrow's own tries take 6 s
def test_a_wrong_endpoint_is_told_without_a_long_wait() -> None:
    pauses: list[float] = []
    address = "s3://bucket/x?endpoint_override=127.0.0.1:9&scheme=http&region=r"
    store = ObjectStore(address, patience=Patience(address, sleep=pauses.append))
    with pytest.raises(LedgerError, match=r"NETWORK_CONNECTION.*check the network and the endpoint"):
        store.exists("schema.json")
    assert pauses == []


@pytest.mark.parametrize(
    "address",
    [
        f"s3://{KEY_ID}:{SECRET}@bucket/x",
        f"s3://{KEY_ID}@bucket/x",
        f"s3://bucket/x?secret_key={SECRET}",
        f"abfs://:{SECRET}@account.dfs.core.windows.net/x",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_shown(address: str) -> None:
    with pytest.raises(LedgerError, match=r"comes with credentials.*in the environment") as caught:
        Ledger.open(address)
    assert SECRET not in str(caught.value) and KEY_ID not in str(caught.value)


@pytest.mark.parametrize("fault", ["403", pytest.param("reset", marks=pytest.mark.slow)])
def test_an_upload_in_parts_that_fails_midway_shows_nothing(server: S3Server, fault: str) -> None:
    store = _store(server, pauses=())
    key = f"checkpoints/{RUN}/0001_01-000001.ckpt"
    puts = iter([None])

    def second_part_fails(method: str, key: str) -> str | None:
        return next(puts, fault) if method == "PUT" else None

    server.fault = second_part_fails
    with pytest.raises(LedgerError, match="cannot write"):
        store.put(key, LARGE)
    server.fault = lambda method, key: None
    import gc

    gc.collect()
    assert server.keys() == [] and not store.exists(key)
    store.put(key, LARGE)
    assert store.get(key) == LARGE


def test_an_object_that_is_replaced_while_it_is_read_is_read_again(server: S3Server, store: ObjectStore) -> None:
    store.put("driver.json", b"short")
    replaced = iter([None, None])

    def replace(method: str, key: str) -> None:
        if method == "GET" and key.endswith("driver.json") and next(replaced, 0) is None:
            server.objects[key] = (server.objects[key][0] + b", and longer", 0.0)

    server.fault = replace
    assert store.get("driver.json") == b"short, and longer, and longer"


def test_a_ledger_opens_only_what_is_one(server: S3Server) -> None:
    address = server.uri("bucket/results/s")
    with pytest.raises(LedgerError, match=r"there is no results folder s3://.*`dml-study run` creates it"):
        Ledger.open(address)
    assert not has_results(address)
    Ledger.open(server.uri("bucket/results/s/"), create=True).put("spec.yaml", b"study: x")
    ledger = Ledger.open(address)
    assert ledger.get("spec.yaml") == b"study: x" and ledger.location == address
    assert Ledger.open(ledger.location, create=True).list("") == ["schema.json", "spec.yaml"]
    ObjectStore(server.uri("bucket/thesis")).put("thesis.tex", b"years of work")
    for create in (False, True):
        with pytest.raises(LedgerError, match=r"not a results folder: it has no schema\.json"):
            Ledger.open(server.uri("bucket/thesis"), create=create)
    Ledger.open(server.uri("bucket/results/t"), create=True)
    assert results_beside(address) == [server.uri("bucket/results/t")]
    assert server.keys("bucket/thesis") == ["bucket/thesis/thesis.tex"]


def test_the_endpoint_may_come_from_the_environment(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server.endpoint}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    ledger = Ledger.open("s3://bucket/results/s", create=True)
    assert ledger.location == "s3://bucket/results/s" and server.keys() == ["bucket/results/s/schema.json"]


def test_a_file_address_is_a_local_folder(tmp_path: Path) -> None:
    ledger = Ledger.open(f"file://{tmp_path}/a%20b", create=True)
    assert ledger.location == str(tmp_path / "a b") and (tmp_path / "a b" / "schema.json").is_file()


def test_two_claims_of_one_number_end_with_two_numbers(server: S3Server) -> None:
    """Both look before either has written, again and again: no number is given out twice."""
    from trainables.ledger.generations import new_generation

    server.latency = 0.01
    stores = [ObjectStore(server.uri("bucket/results/s")) for _ in range(4)]
    start, numbers = threading.Barrier(4), []

    def claim(store: ObjectStore, token: str) -> None:
        import time

        start.wait()
        numbers.append(new_generation(store, 3, token=token, sleep=time.sleep))

    threads = [
        threading.Thread(target=claim, args=(store, f"{index:x}" * 8)) for index, store in enumerate(stores, start=10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 4 and min(numbers) >= 4


def test_of_two_drivers_the_second_is_refused_and_a_third_goes_on(server: S3Server) -> None:
    address = server.uri("bucket/results/s")
    ledger = Ledger.open(address, create=True)
    with Lease(ledger) as lease:
        with pytest.raises(LedgerError, match=r"another `dml-study run` is working on this folder, s3://bucket"):
            Lease(Ledger.open(address)).acquire()
        assert ledger.new_attempt(RUN, generation=lease.generation) == "0001_01"
    with Lease(Ledger.open(address)) as lease:
        assert lease.generation == 2
        assert ledger.new_attempt(RUN, generation=2) == "0002_01"
        assert ledger.new_attempt(RUN, generation=2) == "0002_02"


def test_the_tables_equal_those_of_a_local_folder(server: S3Server, tmp_path: Path) -> None:
    """Commits, compaction, forgetting and adoption under errors and latency."""
    here, there = Ledger.open(tmp_path / "s", create=True), Ledger.open(server.uri("bucket/results/s"), create=True)
    count = iter(range(10**9))
    server.fault = lambda method, key: {0: "503", 7: "lost", 13: "reset"}.get(next(count) % 61)
    server.latency, server.page = 0.001, 5
    for ledger in (here, there):
        commit_runs(ledger, range(2))
        assert ledger.compact(minimum_parts=1) == 6
        commit_runs(ledger, range(2, 4))
        ledger.save_checkpoint(RUN, "0002_01", 1, b"left over")
        ledger.forget(run_name(2))
        ledger.sweep()
        ledger.write_plan({"study": "s", "cells": [], "axes": []})
    assert resolved(there) == resolved(here)
    assert set(there.commits()) == set(here.commits()) and there.list("checkpoints/") == []
    assert len(there.list("forgotten/")) == len(TABLES)
    copy = Ledger.open(tmp_path / "copy", create=True)
    assert copy.adopt(there, run_name(0), run_name(3)) == [run_name(0), run_name(3)]
    assert {row["origin"] for row in copy.read("runs").to_pylist()} == {there.location}
    assert len(analysis.load(there.location).epochs) == 6


def test_of_two_checkpoints_the_older_is_deleted_after_the_newer_is_there(server: S3Server) -> None:
    ledger = Ledger.open(server.uri("bucket/results/s"), create=True)
    server.requests.clear()
    for epoch in (1, 2, 3):
        ledger.save_checkpoint(RUN, "0001_01", epoch, b"state %d" % epoch)
    changes = [(method, key[-11:-5]) for method, key in server.requests if method in ("PUT", "DELETE")]
    assert changes[:4] == [("PUT", "000001"), ("PUT", "000002"), ("PUT", "000003"), ("DELETE", "000001")]
    assert [saved.payload for saved in ledger.checkpoints(RUN)] == [b"state 3", b"state 2"]


WRITER = """
import sys
from trainables.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
ledger.save_checkpoint(sys.argv[2], "0001_01", 1, b"first")
print("written", flush=True)
ledger.save_checkpoint(sys.argv[2], "0001_01", 2, bytes(int(sys.argv[3])))
"""


@pytest.mark.parametrize("size", [1_000_000, 25_000_000])
def test_a_writer_killed_in_the_middle_of_a_checkpoint_leaves_the_one_before(server: S3Server, size: int) -> None:
    ledger = Ledger.open(server.uri("bucket/results/s"), create=True)
    reached, go = threading.Event(), threading.Event()

    def stall(method: str, key: str) -> str | None:
        if method != "PUT" or not key.endswith("000002.ckpt"):
            return None
        reached.set()
        go.wait(30)
        return "reset"  # the writer is dead: the rest of its body never comes

    server.fault = stall
    command = [sys.executable, "-c", WRITER, ledger.location, RUN, str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ)) as writer:
        try:
            assert reached.wait(60)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            go.set()
    assert [(saved.epoch, saved.payload) for saved in ledger.checkpoints(RUN)] == [(1, b"first")]
    assert ledger.list("checkpoints/") == [f"checkpoints/{RUN}/0001_01-000001.ckpt"]
    assert ledger.new_attempt(RUN, generation=2) == "0002_01"


def test_a_damaged_plan_is_named_without_the_query_of_the_address(server: S3Server) -> None:
    ledger = Ledger.open(server.uri("bucket/results/s"), create=True)
    ledger.put("plan.json", b"{")
    with pytest.raises(LedgerError, match=r"^s3://bucket/results/s/plan\.json is damaged"):
        ledger.read_plan()
    assert json.loads(ledger.get("schema.json"))["schema_version"] == 1
