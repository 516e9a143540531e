"""The Slurm scripts, with stand-ins for Slurm's commands that write down how they are called."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from deploy_files import DEPLOY

JOB = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NODELIST": "node[07-08]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_CPUS_PER_TASK": "16",
    "SLURM_ARRAY_JOB_ID": "4700",
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_ARRAY_TASK_COUNT": "8",
}
SRUN = 'printf "%s\\n" "srun $*" "token $RAY_AUTH_MODE ${#RAY_AUTH_TOKEN}" >> "$CALLS"; exit "$STUDY_ENDS"'
SCONTROL = 'printf "%s\\n" "scontrol $*" >> "$CALLS"; [ "$1" = show ] && printf "node07\\nnode08\\n"; exit 0'


def submitted(folder: Path, script: str, *arguments: str, ends: int) -> tuple[int, list[str]]:
    """Runs a script in a job that has an hour left; returns its exit code and the calls of Slurm's commands."""
    for name, body in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    calls = folder / "calls"
    calls.write_text("")
    end = {"SLURM_JOB_END_TIME": str(int(time.time()) + 3600), "CALLS": str(calls), "STUDY_ENDS": str(ends)}
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", **JOB, **end}
    done = subprocess.run(["bash", str(DEPLOY / "slurm" / script), *arguments], env=environment, check=False)
    return done.returncode, calls.read_text().splitlines()


def seconds_left(call: str) -> int:
    return int(call.split("--max-time ")[1].split("s", maxsplit=1)[0])


def test_one_ray_over_all_nodes_of_a_job(tmp_path: Path) -> None:
    code, calls = submitted(tmp_path, "study.sbatch", "s.yaml", "--results", "/shared/s", ends=0)
    assert code == 0
    hosts, run, token = calls
    assert hosts == "scontrol show hostnames node[07-08]"
    assert run.startswith(
        "srun --nodes=2 --ntasks-per-node=1 --cpus-per-task=16 "
        "ray symmetric-run --address node07:24711 --min-nodes 2 --num-cpus 16 -- "
        "dml-study run s.yaml --results /shared/s --address auto --max-time "
    )
    assert 2900 < seconds_left(run) <= 3000
    assert token == "token token 64"


def test_a_part_of_the_runs_in_each_job_of_an_array(tmp_path: Path) -> None:
    code, (run, _) = submitted(tmp_path, "array.sbatch", "s.yaml", "--results", "/shared/s", ends=0)
    assert code == 0
    assert run.startswith(
        "srun --ntasks=1 --cpus-per-task=16 dml-study run s.yaml --results /shared/s --shard 3/8 --max-time "
    )
    assert 2900 < seconds_left(run) <= 3000


@pytest.mark.parametrize(("script", "job"), [("study.sbatch", "4711"), ("array.sbatch", "4700_3")])
def test_a_job_that_is_out_of_time_queues_itself_again(tmp_path: Path, script: str, job: str) -> None:
    code, calls = submitted(tmp_path, script, "s.yaml", ends=75)
    assert (code, calls[-1]) == (75, f"scontrol requeue {job}")


@pytest.mark.parametrize("script", ["study.sbatch", "array.sbatch"])
@pytest.mark.parametrize("ends", [0, 1, 3, 130])
def test_any_other_end_is_an_end(tmp_path: Path, script: str, ends: int) -> None:
    code, calls = submitted(tmp_path, script, "s.yaml", ends=ends)
    assert code == ends and not [call for call in calls if "requeue" in call]


def test_a_script_without_a_study_says_how_it_is_used(tmp_path: Path) -> None:
    code, calls = submitted(tmp_path, "study.sbatch", ends=0)
    assert code != 0 and calls == []
