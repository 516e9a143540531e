"""The files of `deploy/`, and the commands in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SCRIPTS = sorted((DEPLOY / "slurm").glob("*.sbatch"))
_COMMAND = re.compile(r"(?<![\w@/:.-])(?:~/dml-study/bin/)?dml-study (run [^'`\n]*)")
VARIABLES = {
    '"$@"': "my-study.yaml --results /shared/results/my-study",
    '"$max_time"': "85800s",
    "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT": "3/8",
}


def texts() -> Iterator[tuple[str, str]]:
    """Name and content of each file."""
    for path in sorted(path for path in DEPLOY.rglob("*") if path.is_file()):
        yield str(path.relative_to(DEPLOY)), path.read_text()


def commands() -> Iterator[tuple[str, str]]:
    """Every command line of dml-study with its file; variables of the shell have values."""
    for name, text in texts():
        for found in _COMMAND.findall(text.replace("\\\n", " ")):
            yield name, _with_values(found.split(" || ")[0].strip())


def _with_values(command: str) -> str:
    for variable, value in VARIABLES.items():
        command = command.replace(variable, value)
    return command


def documents(path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / path).read_text()))
