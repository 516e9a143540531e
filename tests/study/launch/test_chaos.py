"""Workers, nodes and drivers of a cluster die at random moments; the ledger is that of an undisturbed run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos import Chaos, Nodes, retrained
from launched import Study, results_of, spec_text, train_here

from trainables.ledger import Ledger

EPOCHS, NODES, LIMIT_SECONDS = 3, 4, 600.0
DECK = ["worker"] * 10 + ["raylet"] * 3 + ["node"] * 4 + ["driver"] * 7
PAUSE_SECONDS = (0.5, 6.0)
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
    assert {row["strategy"] for row in results["runs"]} >= {"plain", "transfer", "ensemble", "untrained"}
    return results


@pytest.fixture
def nodes(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """Their workers sleep in each step of the loss `slow`: time to be killed in."""
    settings = {"SLOW_SECONDS": "0.6", "RAY_TMPDIR": str(short_folder), "OMP_NUM_THREADS": "1"}
    for key, value in {**settings, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}.items():
        monkeypatch.setenv(key, value)
    nodes = Nodes(NODES)
    yield nodes
    nodes.close()


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
    study: Study, nodes: Nodes, undisturbed: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write(SPEC)
    secret = {key: value for key, value in os.environ.items() if key.startswith("RAY_AUTH_")}
    planned = len(undisturbed["runs"])

    def start() -> Any:
        return study.start("--address", nodes.address, "--checkpoint-seconds", "0", **secret)

    chaos = Chaos(study, nodes, start, planned=planned, seed=0, limit=LIMIT_SECONDS)
    chaos.strike(DECK, pause=PAUSE_SECONDS)
    output = chaos.finish()
    with capsys.disabled():
        print(f"\n{chaos.report()}\n{retrained(study.results)}\nended after {chaos.seconds:.0f} s")
    assert f"{planned} of {planned} runs complete" in output
    assert len(chaos.kills) >= 20
    assert_same(study, undisturbed)
