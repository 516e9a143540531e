"""Workers, nodes and drivers of a cluster die at random moments; the ledger is that of an undisturbed run."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos import Chaos, Nodes, retrained
from launched import PLUGIN, Study, ended, free_port, results_of, spec_text, train_here, wait_for

from trainables.ledger import Ledger

EPOCHS, NODES, LIMIT_SECONDS = 3, 4, 600.0
DECK = ["worker"] * 10 + ["raylet"] * 3 + ["node"] * 4 + ["driver"] * 7
PAUSE_SECONDS = (0.0, 4.0)
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
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


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


def start(study: Study, nodes: Nodes, **environment: str) -> "subprocess.Popen[str]":
    """The command that is the same each time."""
    secret = {key: value for key, value in os.environ.items() if key.startswith("RAY_AUTH_")}
    options = ("--address", nodes.address, "--checkpoint-seconds", "0", "--plugin", str(PLUGIN))
    return study.command("run", "s.yaml", *options, **secret, **environment)


def assert_same(study: Study, undisturbed: Results) -> None:
    """No run is missing, none stands twice, and nothing differs in any bit of any metric."""
    for table, expected in undisturbed.items():
        found = results_of(study.results)[table]
        assert [row["run_id"] for row in found] == [row["run_id"] for row in expected], f"table {table}"
        for row, other in zip(found, expected, strict=True):
            assert {key: (row[key], other[key]) for key in row if row[key] != other[key]} == {}
    run_ids = [row["run_id"] for row in Ledger.open(study.results).read("runs").to_pylist()]
    assert len(set(run_ids)) == len(run_ids) == len(undisturbed["runs"])
    assert study.checkpoints() == [] == study.live()


def test_twenty_kills_change_nothing(
    study: Study, new_nodes: Callable[..., Nodes], undisturbed: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(SPEC)
    nodes, planned = new_nodes(slow=0.6), len(undisturbed["runs"])
    chaos = Chaos(study, nodes, lambda: start(study, nodes), planned=planned, seed=0, limit=LIMIT_SECONDS)
    chaos.strike(DECK, pause=PAUSE_SECONDS)
    output = chaos.finish()
    with capsys.disabled():
        print(f"\n{chaos.report()}\n{retrained(study.results)}\nended after {chaos.seconds:.0f} s")
    assert f"{planned} of {planned} runs complete" in output
    assert len(chaos.kills) >= 20
    assert_same(study, undisturbed)


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
    assert_same(study, undisturbed)
