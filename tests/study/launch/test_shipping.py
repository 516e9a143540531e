"""The code that a cluster gets: what this process runs, its plug-ins, and where it comes from."""

import subprocess
import sys
from pathlib import Path

import pytest

from study.launch.node_check import fingerprint
from study.launch.shipping import staged_code
from trainables.provenance import git_commit


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    plugin = tmp_path / "own_parts.py"
    plugin.write_text("NAME = 'mine'\n")
    modules = staged_code(tmp_path / "code", plugins=[plugin])
    assert [Path(module).parent for module in modules] == [tmp_path / "code"] * len(modules)
    assert {Path(module).name for module in modules[:3]} == {"study", "trainables", "analysis"}
    return tmp_path / "code"


def there(code: Path, program: str) -> str:
    """Runs a program whose first place of modules is the shipped code, as on a node."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(code)!r})\n{program}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_node_says_version_and_commit_of_the_driver(shipped: Path) -> None:
    program = "from trainables import provenance as p; print(p.package_versions(), p.git_commit())"
    said = there(shipped, program)
    assert '"dml-study": "0.1.0"' in said and said.endswith(f" {git_commit()}")


def test_a_node_finds_plugins_and_studies_in_the_code(shipped: Path) -> None:
    program = (
        "from trainables.shipped import plugins_here; print(plugins_here(['_plugins/own_parts.py'])[0].read_text())"
    )
    assert there(shipped, program) == "NAME = 'mine'"
    assert (shipped / "study" / "presets").is_dir() and not list(shipped.rglob("__pycache__"))


def test_another_copy_in_front_is_noticed(shipped: Path) -> None:
    program = "from study.launch.node_check import fingerprint; print(fingerprint())"
    assert there(shipped, program) == fingerprint(shipped)
    assert fingerprint() != fingerprint(shipped)  # this process's own has no plug-in
