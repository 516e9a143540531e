"""The parts of a launch, one by one and without Ray's processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from launched import spec_text, wait_for

from study.launch import cluster, prepare, scratch
from study.launch.cluster import ClusterError, ResourceError, cpu_cores, ray_session, refuse_impossible, slots
from study.launch.housekeeping import Housekeeping
from study.launch.scratch import scratch_folder
from study.launch.signals import StopRequest
from study.plan import Resources, build_plan
from study.spec import load_spec
from trainables.errors import LedgerError
from trainables.ledger.process import own_start_time

GIB = 2**30
SMALL, LARGE = {"CPU": 4.0, "memory": 8.0 * GIB}, {"CPU": 2.0, "GPU": 1.0, "memory": 16.0 * GIB}


def test_the_first_signal_asks_and_the_second_interrupts(capsys: pytest.CaptureFixture[str]) -> None:
    former = signal.getsignal(signal.SIGTERM)
    stop = StopRequest()
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.requested, stop.interrupted, stop.errors) == (True, True, [])
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is former
    assert capsys.readouterr().err.split("\n") == [
        *("", "stopping: running trials are saved first; once more to stop at once"),
        *("", "stopping at once", ""),
    ]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Ray, as if it had these nodes."""

    def pretend(*resources: dict[str, float], dead: dict[str, float] | None = None) -> None:
        alive = [{"Alive": True, "Resources": each} for each in resources]
        lost = [{"Alive": False, "Resources": dead}] if dead else []
        total = {key: sum(each.get(key, 0.0) for each in resources) for each in resources for key in each}
        monkeypatch.setattr(ray, "nodes", lambda: alive + lost)
        monkeypatch.setattr(ray, "cluster_resources", lambda: total)

    return pretend


def test_slots_count_what_the_scarcest_resource_allows(nodes: Callable[..., None]) -> None:
    nodes(SMALL, LARGE)
    assert slots(Resources(cpu=1)) == 6
    assert slots(Resources(cpu=0.5)) == 12
    assert slots(Resources(cpu=1, gpu=0.25)) == 4
    assert slots(Resources(cpu=1, memory=12 * GIB)) == 2
    assert slots(Resources(cpu=100)) == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Resources(cpu=5), "asks for 5 CPUs, and the largest node has 4 CPUs"),
        (Resources(cpu=1, gpu=2), "asks for 1 CPUs and 2 GPUs, and the largest node has 4 CPUs and 1 GPUs"),
        (Resources(cpu=3, gpu=0.5), "asks for 3 CPUs and 0.5 GPUs"),
        (Resources(cpu=1, memory=17 * GIB), "and 17 GiB of memory, and the largest node has 4 CPUs and 16 GiB of"),
    ],
)
def test_what_no_node_has_is_refused(nodes: Callable[..., None], asked: Resources, message: str) -> None:
    nodes(SMALL, LARGE, dead={"CPU": 64.0, "GPU": 8.0, "memory": 999.0 * GIB})
    with pytest.raises(ResourceError, match=message):
        refuse_impossible({Resources(cpu=1), asked})


def test_what_some_node_has_is_not_refused(nodes: Callable[..., None]) -> None:
    nodes(SMALL, LARGE)
    refuse_impossible({Resources(cpu=4), Resources(cpu=2, gpu=1), Resources(cpu=1, gpu=0.3, memory=16 * GIB)})


@pytest.mark.parametrize(
    ("limits", "cores"), [("150000 100000\n", 1), ("max 100000\n", 9), ("800000 100000\n", 8), (None, 9)]
)
def test_cores_are_those_of_the_process_and_of_its_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limits: str | None, cores: int
) -> None:
    file = tmp_path / "cpu.max"
    if limits is not None:
        file.write_text(limits)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(9)), raising=False)
    monkeypatch.setattr(cluster, "_CONTAINER_LIMITS", file)
    assert cpu_cores() == cores


def test_an_error_of_ray_at_its_start_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(**options: Any) -> None:
        raise OSError("AF_UNIX path length cannot exceed 107 bytes")

    ended = []
    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    with (
        pytest.raises(ClusterError, match=r"Ray does not start here: AF_UNIX path .*; `dml-study doctor` looks"),
        ray_session(None, folder=tmp_path, gpus=False),
    ):
        pass
    assert ended


@pytest.mark.parametrize("wrong", ["127.0.0.1:1", "ray://127.0.0.1:1", "somewhere"])
def test_a_wrong_address_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("Ray would try for a quarter of an hour"))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    message = f"--address {wrong}: no Ray cluster can be joined: .*; give host:port of its head, or `auto`"
    with pytest.raises(ClusterError, match=message), ray_session(wrong, folder=tmp_path, gpus=False):
        pass


def test_a_private_ray_looks_for_gpus_only_where_runs_need_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **given: options.update(given))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    for gpus, number in ((True, None), (False, 0)):
        with ray_session(None, folder=tmp_path, gpus=gpus):
            assert options["num_gpus"] is number
    assert (options["address"], options["_temp_dir"]) == ("local", str(tmp_path))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scratch, "short_folder", lambda: tmp_path)
    return tmp_path


def test_a_scratch_folder_is_gone_afterwards_also_after_an_error(temporary: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_folder() as folder:
        (folder / "session").mkdir()
        raise KeyboardInterrupt
    assert list(temporary.iterdir()) == []


def test_only_folders_of_processes_that_are_gone_are_removed(temporary: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    here = {"host": socket.gethostname(), "pid": os.getpid(), "process_start_time": own_start_time()}
    owners = {
        "gone": {**here, "pid": int(gone.stdout)},
        "number-given-out-again": {**here, "process_start_time": "0"},
        "alive": here,
        "elsewhere": {**here, "host": "elsewhere", "process_start_time": "0"},
    }
    for name, owner in owners.items():
        (temporary / f"dml-study-{name}").mkdir()
        (temporary / f"dml-study-{name}" / "owner.json").write_text(json.dumps(owner))
    (temporary / "dml-study-of-nobody").mkdir()
    (temporary / "other").mkdir()
    with scratch_folder() as folder:
        left = {path.name for path in temporary.iterdir()} - {folder.name}
    assert left == {"dml-study-alive", "dml-study-elsewhere", "dml-study-of-nobody", "other"}


def test_a_long_path_for_temporary_files_is_avoided(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for given, used in (("/tmp/of/me", "/tmp/of/me"), ("/" + "x" * 30, "/tmp")):
        monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda given=given: given)
        assert scratch.short_folder() == Path(used)


class Compacting:
    """Counts compactions; fails from the second on."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.count, self.failure = 0, failure

    def compact(self) -> int:
        self.count += 1
        if self.failure is not None and self.count > 1:
            raise self.failure
        return 0


def test_the_ledger_is_compacted_again_and_again() -> None:
    ledger = Compacting()
    with Housekeeping(ledger, interval=0.01):  # type: ignore[arg-type]
        wait_for(lambda: ledger.count >= 3, "third compaction")
    count, threads = ledger.count, {thread.name for thread in threading.enumerate()}
    assert "housekeeping" not in threads
    assert ledger.count == count


@pytest.mark.parametrize("failure", [LedgerError("the disk is full"), RuntimeError("a bug")])
def test_a_failed_compaction_is_raised_at_the_end(failure: Exception) -> None:
    ledger = Compacting(failure)
    with pytest.raises(type(failure)), Housekeeping(ledger, interval=0.01):  # type: ignore[arg-type]
        wait_for(lambda: ledger.count == 2, "failure")
    assert ledger.count == 2


def test_a_failed_compaction_does_not_hide_another_error() -> None:
    ledger = Compacting(LedgerError("the disk is full"))
    with pytest.raises(KeyboardInterrupt), Housekeeping(ledger, interval=0.01):  # type: ignore[arg-type]
        wait_for(lambda: ledger.count == 2, "failure")
        raise KeyboardInterrupt


def test_data_is_prepared_once_for_what_shares_it(tmp_path: Path, private_cache: Path) -> None:
    methods = "  a: {loss: norm_softmax}\n  b: {loss: proxy_anchor, settings: {backbone.trainable: false}}\n"
    (tmp_path / "s.yaml").write_text(spec_text(methods, compare="optimizer.lr: [0.1, 0.2]", seeds=3))
    plan = build_plan(load_spec(tmp_path / "s.yaml"), cache=private_cache)
    assert len(plan.runs) > 12
    distinct = prepare._distinct(list(plan.runs.values()))
    trainable = [run for run in distinct if run.backbone.trainable]
    frozen = [run for run in distinct if not run.backbone.trainable]
    assert len(trainable) <= 1
    assert sorted(run.seed for run in frozen) == [0, 1, 2], "features of random weights differ by seed"


def test_features_for_a_gpu_elsewhere_are_left_to_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert prepare._is_here("cpu")
    assert not prepare._is_here("cuda")
