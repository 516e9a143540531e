"""What stands in `deploy/` is what our command line, the shell, Ray and KubeRay take."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from deploy_files import DEPLOY, SCRIPTS, commands, documents, texts

from study.cli.app import app
from study.durations import parse_duration
from trainables.ledger.shards import Shard

COMMANDS = list(commands())


def parsed(command: str) -> dict[str, Any]:
    """Parameters of a command line of dml-study; fails where it does not take them."""
    name, *arguments = shlex.split(command)
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    return dict(group.commands[name].make_context(name, arguments).params)


@pytest.mark.parametrize(("file", "command"), COMMANDS)
def test_every_command_is_one_of_ours(file: str, command: str) -> None:
    params = parsed(command)
    assert params["spec"].endswith("my-study.yaml") and str(params["results"]).endswith("my-study")
    assert params["address"] == "auto" or Shard.parse(params["shard"]).count == 8
    assert params["max_time"] is None or parse_duration(params["max_time"], name="--max-time") > 0


def test_each_way_has_a_command() -> None:
    assert {file for file, _ in COMMANDS} == {
        *("slurm/study.sbatch", "slurm/array.sbatch", "kuberay/study.yaml"),
        *("ray-up/on-prem.yaml", "ray-up/aws.yaml"),
    }


def test_a_misspelt_option_would_be_noticed() -> None:
    with pytest.raises(Exception, match="adress"):
        parsed("run my-study.yaml --adress auto")


def test_the_readme_names_every_example() -> None:
    readme = (DEPLOY / "README.md").read_text()
    examples = [name for name, _ in texts() if name != "README.md"]
    assert [name for name in examples if f"]({name})" not in readme] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_shell_can_read_a_script(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    options = [number for number, line in enumerate(text.splitlines()) if line.startswith("#SBATCH ")]
    first_command = text.splitlines().index("set -euo pipefail")
    assert options and max(options) < first_command  # Slurm reads no further


@pytest.mark.parametrize("file", ["on-prem", "aws"])
def test_ray_up_takes_the_file(file: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (config,) = documents(f"ray-up/{file}.yaml")
    validate_config(prepare_config(config))
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in starts if "ray start" in line)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_kuberay_takes_the_job() -> None:
    *claims, job = documents("kuberay/study.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert set(spec) <= {
        *("entrypoint", "submissionMode", "backoffLimit", "submitterConfig", "shutdownAfterJobFinishes"),
        *("ttlSecondsAfterFinished", "rayClusterSpec"),
    }
    assert spec["submissionMode"] == "K8sJobMode" and spec["backoffLimit"] > 0
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}  # needs rayVersion
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert all(
        {"groupName", "replicas", "minReplicas", "maxReplicas", "template"} <= set(group) for group in groups[1:]
    )
    for group in groups:
        require_pod(group["template"]["spec"], claims={claim["metadata"]["name"] for claim in claims})


def require_pod(pod: dict[str, Any], *, claims: set[str]) -> None:
    """A pod whose containers mount volumes that it has, and whose study finds the folders that its command names."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (container,) = pod["containers"]
    assert container["image"] and container["resources"]["limits"] == container["resources"]["requests"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) <= set(volumes)
    assert {"/study", "/results", "/data", "/cache"} <= set(mounts)
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["DML_STUDY_DATA"] in mounts and environment["DML_STUDY_CACHE"] in mounts
    claimed = [volume for volume in volumes.values() if "persistentVolumeClaim" in volume]
    used = {volume["persistentVolumeClaim"]["claimName"] for volume in claimed}
    assert used == claims and volumes[mounts["/cache"]] == {"name": "cache", "emptyDir": {}}


def test_the_versions_are_those_of_the_tests() -> None:
    lines = (DEPLOY.parent / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    job = documents("kuberay/study.yaml")[-1]
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pins["ray"]
