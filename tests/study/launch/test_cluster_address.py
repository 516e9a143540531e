"""`--address`: the same command on a cluster that was there before and stays."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from launched import Study, results_of, spec_text, train_here, wait_for

SPEC = spec_text("  plain: {loss: norm_softmax}\n")


@pytest.fixture
def address(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of two nodes of one CPU each, on the loopback interface."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_TMPDIR", str(short_folder))  # a file there says which cluster `auto` means
    (short_folder / "ray").mkdir()
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    node |= {"temp_dir": str(short_folder), "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "gcs_server_port": _free_port()})
    cluster.add_node(**node)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_study_runs_on_a_cluster_and_leaves_it_running(study: Study, address: str, private_cache: Path) -> None:
    study.write(SPEC)
    output, errors = study.run("--address", address)
    assert "2 of 2 runs complete, 2 trained now" in output
    assert "ray" not in errors.lower()
    wait_for(lambda: not study.processes(), "end of the command's processes")
    with socket.create_connection(tuple(address.split(":")), timeout=10):
        pass
    assert results_of(study.results) == train_here(study.folder, SPEC, cache=private_cache)


@pytest.mark.parametrize("wrong", ["127.0.0.1:1", "ray://127.0.0.1:1", "somewhere"])
def test_a_wrong_address_is_bad_input(study: Study, wrong: str) -> None:
    study.write(SPEC)
    output, errors = study.run("--address", wrong, code=2)
    assert errors.startswith(f"error: --address {wrong}: no Ray cluster can be joined there: ")
    assert "host:port of its head" in errors
    assert output == ""
    assert study.commits() == {}
