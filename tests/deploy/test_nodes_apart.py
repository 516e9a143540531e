"""A cluster whose one working machine has none of our code, and other folders than the machine of the command."""

import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from machines import ROOT, Machine, possible, two_machines
from PIL import Image

from trainables.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not possible(), reason="needs Linux namespaces, and root")]
PLUGIN = Path(__file__).with_name("carried_loss.py")
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
PORT = 26379
SPEC = """
study: s
extends: fast_cpu
methods:
  plain: {loss: LOSS}
datasets:
  images: DATASET
compare: {dataset: [images]}
replicates: {seeds: 1}
settings: {backbone: {name: conv4, width: 8}, embedding_dim: 16, training.epochs: 2, training.batch_size: 16}
"""
GLYPHS = "{name: glyphs, classes: 24, images_per_class: 8, image_size: 16}"
LIMIT_SECONDS = 400


@dataclass
class Cluster:
    """A head that trains nothing, where commands are given, and a node."""

    head: Machine
    node: Machine

    def run(self, folder: Path, *options: str, loss: str = "norm_softmax", dataset: str = GLYPHS) -> tuple[int, str]:
        """`dml-study run`; returns its exit code and all that it printed."""
        (folder / "s.yaml").write_text(SPEC.replace("LOSS", loss).replace("DATASET", dataset))
        command = ["python", "-m", "study", "run", "s.yaml", "--plugin", str(PLUGIN), *options]
        places = {"DML_STUDY_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT), "TORCH_HOME": "/of/the/driver"}
        process = self.head.start(*command, folder=folder, **TOKEN, **places)
        output, errors = process.communicate(timeout=LIMIT_SECONDS)
        return process.returncode, output + errors

    @property
    def address(self) -> tuple[str, str]:
        return "--address", f"{self.head.address}:{PORT}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    head, node = two_machines()
    node.hide(ROOT / "tests")
    folder = tmp_path_factory.mktemp("cluster")
    own = {"PYTHONPATH": "", "DML_STUDY_CACHE": str(folder / "node-cache")}
    quiet = ["--object-store-memory=100000000", "--disable-usage-stats", "--include-dashboard=false", "--block"]
    ray = ["ray", "start"]
    first = head.start(*ray, "--head", f"--port={PORT}", "--num-cpus=0", *quiet, folder=folder, **TOKEN, **own)
    wait_for_nodes(head, 1, first)
    quiet.remove("--include-dashboard=false")
    second = node.start(*ray, f"--address={head.address}:{PORT}", "--num-cpus=1", *quiet, folder=folder, **TOKEN, **own)
    wait_for_nodes(head, 2, second)
    yield Cluster(head, node)
    for machine in (head, node):
        machine.close()


def wait_for_nodes(head: Machine, count: int, process: "subprocess.Popen[str]") -> None:
    program = f"import ray; ray.init('{head.address}:{PORT}', logging_level='error'); print(len(ray.nodes()))"
    until = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        found, _ = head.start("python", "-c", program, folder=Path("/"), **TOKEN).communicate()
        if found.strip() == str(count):
            return
        time.sleep(1)
    raise AssertionError(f"no {count} nodes in time")


def metrics(results: Path) -> list[dict[str, Any]]:
    """What the runs came to, in the order of their ids."""
    rows = sorted(Ledger.open(results).read("runs").to_pylist(), key=lambda row: row["run_id"])
    return [{key: row[key] for key in row if key == "run_id" or key.startswith(("val_", "test_"))} for row in rows]


def test_code_and_plugins_reach_a_node_that_has_neither(cluster: Cluster, tmp_path: Path) -> None:
    code, output = cluster.run(tmp_path, *cluster.address, loss="carried")
    assert code == 0, output
    assert "2 of 2 runs complete, 2 trained now" in output
    rows = Ledger.open(tmp_path / "results" / "s").read("runs").to_pylist()
    assert {row["host"] for row in rows} == {"node2"}
    assert cluster.run(tmp_path, "--results", "here", loss="carried")[0] == 0
    assert metrics(tmp_path / "results" / "s") == metrics(tmp_path / "here")


def test_results_that_a_node_does_not_share_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    cluster.node.hide(tmp_path / "results")
    code, output = cluster.run(tmp_path, *cluster.address)
    assert code == 2, output
    assert f"node node2 (10.77.0.2): the results folder {tmp_path}/results/s is not there; put results where" in output
    assert Ledger.open(tmp_path / "results" / "s").commits() == {}


def draw(folder: Path, *, shade: int) -> None:
    for number in range(16):
        place = folder / ("train" if number < 8 else "test") / f"c{number}"
        place.mkdir(parents=True)
        for image in range(4):
            Image.new("RGB", (16, 16), (number * 15, image * 60, shade)).save(place / f"{image}.png")


def test_data_that_a_node_lacks_or_has_otherwise_are_no_fault_of_a_run(cluster: Cluster, tmp_path: Path) -> None:
    birds = tmp_path / "birds"
    draw(birds, shade=0)
    dataset = f"{{name: image_folder, path: {birds}, image_size: 16}}"
    cluster.node.hide(birds)
    code, output = cluster.run(tmp_path, *cluster.address, dataset=dataset)
    assert code == 2 and "node node2 (10.77.0.2): " in output and str(birds) in output, output
    cluster.node.show(birds)
    other = tmp_path / "other"
    draw(other, shade=200)
    cluster.node.do("mount", "--bind", str(other), str(birds))
    code, output = cluster.run(tmp_path, *cluster.address, dataset=dataset)
    assert code == 2 and "node node2 (10.77.0.2): dataset images changed" in output, output
    assert Ledger.open(tmp_path / "results" / "s").commits() == {}
    cluster.node.show(birds)
    code, output = cluster.run(tmp_path, *cluster.address, dataset=dataset)
    assert code == 0, output
