"""The part that CONTRIBUTING.md adds is added here, word for word: its contract holds and `dml-study check` passes."""

import importlib
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from trainables.config import REGISTRIES

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def files() -> dict[str, str]:
    """Content of each file that the page shows, by the name in its first line."""
    blocks = re.findall(r"^ *```(?:python|toml|yaml)\n(.*?)^ *```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    texts = [textwrap.dedent(block) for block in blocks]
    return {text.splitlines()[0].removeprefix("# "): text for text in texts}


def entry_points(project: str) -> str:
    """What an installer writes for the entry points of a pyproject.toml."""
    groups = tomllib.loads(project)["project"]["entry-points"]
    return "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in groups.items()
    )


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """The page's files as an installer would lay them out, in a folder for PYTHONPATH."""
    for name, text in files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    record = tmp_path / "my_parts-0.1.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: my-parts\nVersion: 0.1\n")
    (record / "entry_points.txt").write_text(entry_points((tmp_path / "pyproject.toml").read_text()))
    return tmp_path


def python(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_contract_holds(distribution: Path) -> None:
    done = python(distribution, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_parts.py")
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 10


def test_check_passes(distribution: Path) -> None:
    few = ["--set", "dataset={name: glyphs, classes: 24, images_per_class: 6, image_size: 16}"]
    few += ["--set", "training.batch_size=8", "--set", "backbone.width=4"]
    done = python(distribution, "-m", "study", "check", "hinge.yaml", *few)
    assert (done.returncode, done.stdout) == (0, "4 of 4 distinct cells pass; 12 runs would train\n"), done.stderr


def test_the_table_names_classes_groups_and_contracts() -> None:
    rows = re.findall(r"^\| (\w+) \| `([\w.]+)` \| `(dml_study\.\w+)` \|(?: `([\w.]+)`)? \|$", PAGE, flags=re.MULTILINE)
    assert {kind: group for kind, _, group, _ in rows} == {kind: of.group for kind, of in REGISTRIES.items()}
    for kind, path, _, contract in rows:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name) is REGISTRIES[kind].base
        if contract:
            module, _, name = contract.rpartition(".")
            assert hasattr(importlib.import_module(f"trainables.testing.{module}"), name)
