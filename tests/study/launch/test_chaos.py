"""Workers, nodes and drivers of a cluster die at random moments; the ledger is that of an undisturbed run."""

import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos import Chaos, Nodes, retrained
from launched import PLUGIN, Study, ended, free_port, results_of, spec_text, train_here, wait_for

from trainables.ledger import Ledger
from trainables.ledger.places import Place

EPOCHS, NODES, LIMIT_SECONDS = 3, 4, 1500.0
DECK = ["worker"] * 10 + ["raylet"] * 3 + ["node"] * 4 + ["driver"] * 7
PAUSE_SECONDS = (0.0, 4.0)
LATENCY_SECONDS, WRITE_FAULTS, READ_FAULTS = 0.01, 0.05, 0.01
METHODS = """
  base: {loss: slow}
  ps: {loss: slow, synthesis: proxy_synthesis, baseline: base}
  student: {strategy: {name: transfer, teacher: {method: base}}, settings: {embedding_dim: 8}, baseline: base}
"""
SPEC = (
    spec_text(
        METHODS,
        compare="synthesis.mixup_alpha: [0.4, 1.0], synthesis.ratio: [0.5, 1.0]",
        epochs=EPOCHS,
    )
    .replace("{seeds: 1}", "{seeds: 4, folds: 2}")
    .replace("width: 8", "width: 4")
    + "protocol: {readout: [mean, concat]}\n"
)
Results = dict[str, list[dict[str, Any]]]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder, cache = tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.getbasetemp() / "cache"
    results = train_here(folder, SPEC, cache=cache)
    assert len(results["runs"]) >= 60
    assert {row["status"] for row in results["runs"]} == {"complete"}
    assert {row["strategy"] for row in results["runs"]} >= {"plain", "transfer", "fold_ensemble", "untrained"}
    return results


@pytest.fixture
def new_nodes(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Nodes]]:
    """Makes clusters whose workers sleep for some seconds in each step of the loss `slow`: time to be killed in."""
    made: list[Nodes] = []

    def make(*, slow: float, port: int | None = None) -> Nodes:
        monkeypatch.setenv("SLOW_SECONDS", str(slow))
        made.append(Nodes(NODES, port=port))
        return made[-1]

    for key, value in {"RAY_TMPDIR": str(short_folder), "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(key, value)
    yield make
    for nodes in made:
        nodes.close()


def start(study: Study, nodes: Nodes, *options: str, **environment: str) -> "subprocess.Popen[str]":
    """The command that is the same each time."""
    secret = {key: value for key, value in os.environ.items() if key.startswith("RAY_AUTH_")}
    always = ("--address", nodes.address, "--checkpoint-seconds", "0", "--plugin", str(PLUGIN))
    return study.command("run", "s.yaml", *always, *options, **secret, **environment)


def assert_same(results: Place, undisturbed: Results) -> None:
    """No run is missing, none stands twice, and nothing differs in any bit of any metric."""
    tables = results_of(results)
    for table, expected in undisturbed.items():
        found = tables[table]
        assert [row["run_id"] for row in found] == [row["run_id"] for row in expected], f"table {table}"
        for row, other in zip(found, expected, strict=True):
            assert {key: (row[key], other[key]) for key in row if row[key] != other[key]} == {}
    ledger = Ledger.open(results)
    run_ids = [row["run_id"] for row in ledger.read("runs").to_pylist()]
    assert len(set(run_ids)) == len(run_ids) == len(undisturbed["runs"])
    assert ledger.list("checkpoints/") == [] == ledger.list("live/")


@pytest.fixture
def survive(
    study: Study, new_nodes: Callable[..., Nodes], undisturbed: Results, capsys: pytest.CaptureFixture[str]
) -> Callable[[Place], None]:
    """Trains the study while its parts are killed, and says what was killed and what was trained again."""

    def kill_and_train(results: Place) -> None:
        study.write(SPEC)
        nodes, planned = new_nodes(slow=0.6), len(undisturbed["runs"])
        chaos = Chaos(
            results,
            nodes,
            lambda: start(study, nodes, "--results", str(results)),
            planned=planned,
            seed=0,
            limit=LIMIT_SECONDS,
        )
        chaos.strike(DECK, pause=PAUSE_SECONDS)
        output = chaos.finish()
        with capsys.disabled():
            print(f"\n{chaos.report()}\n{retrained(results)}\nended after {chaos.seconds:.0f} s")
        assert f"{planned} of {planned} runs complete" in output
        assert len(chaos.kills) >= 20

    return kill_and_train


def test_twenty_kills_change_nothing(study: Study, survive: Callable[[Place], None], undisturbed: Results) -> None:
    survive(study.results)
    assert_same(study.results, undisturbed)


def test_twenty_kills_change_nothing_on_an_object_store(
    server: Any, survive: Callable[[Place], None], undisturbed: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    """Requests are slow, and many of them are refused, cut in the middle, or done without an answer."""
    draws, faults = random.Random(1), Counter[str]()

    def fault(method: str, key: str) -> str | None:
        if draws.random() >= (WRITE_FAULTS if method in ("PUT", "POST") else READ_FAULTS):
            return None
        kind = draws.choice(["503", "lost", "reset"])
        faults[f"{kind} at {method}"] += 1
        return kind

    server.latency, server.fault = LATENCY_SECONDS, fault
    survive("s3://bucket/results/s")
    with capsys.disabled():
        print(f"faults of {len(server.requests)} requests: {dict(sorted(faults.items()))}")
    assert sum(count for name, count in faults.items() if name.endswith("PUT")) >= 20
    server.fault = lambda method, key: None
    assert_same("s3://bucket/results/s", undisturbed)


def test_the_same_command_goes_on_after_the_head_died(
    study: Study, new_nodes: Callable[..., Nodes], undisturbed: Results
) -> None:
    """A whole cluster loses power; its driver, elsewhere, ends by itself; another cluster takes over the address."""
    study.write(SPEC)
    nodes = new_nodes(slow=0.3, port=free_port())
    address, port = nodes.address, int(nodes.address.rpartition(":")[2])
    process = start(study, nodes, RAY_gcs_rpc_server_reconnect_timeout_s="20")
    wait_for(lambda: len(study.commits()) >= 8 and study.checkpoints(), "some runs", process=process)
    nodes.close()
    _, errors = process.communicate(timeout=90)
    assert f"the head of the Ray cluster, {address}, does not answer any more" in errors
    assert "start it again" in errors
    before = Ledger.open(study.results).commits()
    assert process.returncode == 1
    assert 8 <= len(before) < len(undisturbed["runs"])
    nodes = new_nodes(slow=0.0, port=port)
    assert nodes.address == address
    output, _ = ended(start(study, nodes), code=0)
    assert f"{len(undisturbed['runs']) - len(before)} trained now" in output
    assert before.items() <= Ledger.open(study.results).commits().items(), "a committed run was trained again"
    assert_same(study.results, undisturbed)
