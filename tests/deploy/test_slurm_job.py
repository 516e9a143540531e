"""The Slurm script on two machines with the real `ray symmetric-run`; the second machine has none of our code."""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy_files import DEPLOY
from machines import Machine, possible, surroundings, two_machines

from trainables.ledger import Ledger

PLUGIN = Path(__file__).with_name("meeting_loss.py")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not possible(), reason="needs Linux namespaces, and root")]
SPEC = """
study: s
extends: fast_cpu
methods:
  plain: {loss: meeting}
datasets:
  shapes: {name: glyphs, classes: 24, images_per_class: 8, image_size: 16}
compare: {dataset: [shapes]}
replicates: {seeds: 2}
settings: {backbone: {name: conv4, width: 8}, embedding_dim: 16, training.epochs: 2, training.batch_size: 32}
"""


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    both = two_machines()
    yield both
    for machine in both:
        machine.close()


def slurm(folder: Path, *machines: Machine) -> dict[str, str]:
    """Commands of a Slurm whose job has these machines, and the variables of the job."""
    runs = [f'{shlex.join(machine.command())} env -C "$PWD" "$@" & started+=($!)' for machine in machines]
    waits = ["code=0", 'for one in "${started[@]}"; do wait "$one" || code=$?; done', "exit $code"]
    write(folder / "srun", "while [[ $1 == --* ]]; do shift; done", *runs, *waits)
    hosts = " ".join(machine.address for machine in machines)
    write(folder / "scontrol", f'echo "$*" >> {folder}/calls', f'[ "$1" = show ] && printf "%s\\n" {hosts}', "exit 0")
    nodes = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": str(len(machines)), "SLURM_CPUS_PER_TASK": "1"}
    return {**nodes, "SLURM_JOB_ID": "4711", "SLURM_JOB_END_TIME": str(int(time.time()) + 3600)}


def write(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/bash", *lines, ""]))
    path.chmod(0o755)


def test_a_job_trains_on_both_machines(tmp_path: Path, machines: tuple[Machine, Machine]) -> None:
    """Runs that were trained on the first machine alone, while the second gets its code ready, would show nothing."""
    (tmp_path / "s.yaml").write_text(SPEC)
    (tmp_path / "meeting").mkdir()
    places = {"DML_STUDY_CACHE": str(tmp_path / "cache"), "MEETING": str(tmp_path / "meeting")}
    environment = surroundings(**slurm(tmp_path, *machines), **places)
    environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"
    options = ("--results", str(tmp_path / "results"), "--plugin", str(PLUGIN))
    done = subprocess.run(
        ["bash", str(DEPLOY / "slurm" / "study.sbatch"), "s.yaml", *options],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "4 of 4 runs complete, 4 trained now" in done.stdout
    hosts = {row["host"] for row in Ledger.open(tmp_path / "results").read("runs").to_pylist()}
    assert hosts == {"node1", "node2"}
    assert (tmp_path / "calls").read_text().splitlines() == ["show hostnames node[1-2]"]
