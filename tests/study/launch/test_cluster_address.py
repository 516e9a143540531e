"""`--address`: the same command on a cluster that was there before and stays."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from launched import Sessions, Study, free_port, results_of, spec_text, train_here, wait_for

SPEC = spec_text("  plain: {loss: norm_softmax}\n")


TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@pytest.fixture
def address(short_folder: Path) -> Iterator[str]:
    """A cluster of one machine that only those with its token may use, like a real one."""
    options = ["--num-cpus=2", "--include-dashboard=false", "--object-store-memory=100000000", "--disable-usage-stats"]
    options += ["--block", f"--temp-dir={short_folder}/ray", f"--port={(port := free_port())}"]
    cluster = Sessions(short_folder)
    process = cluster.spawn("ray.scripts.scripts", "start", "--head", *options, folder=short_folder, **TOKEN)
    wait_for(lambda: _listens(port), "cluster", process=process)
    yield f"127.0.0.1:{port}"
    cluster.kill_all()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow  # starts a cluster beside the private Rays of other tests
def test_a_study_runs_on_a_cluster_and_leaves_it_running(study: Study, address: str, private_cache: Path) -> None:
    study.write(SPEC)
    output, errors = study.run("--address", address, **TOKEN)
    assert "2 of 2 runs complete, 2 trained now" in output
    assert "ray" not in errors.lower()
    wait_for(lambda: not study.processes(), "end of the command's processes")
    assert _listens(int(address.rpartition(":")[2]))
    assert results_of(study.results) == train_here(study.folder, SPEC, cache=private_cache)
