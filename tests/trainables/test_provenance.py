"""Where a run was made: package versions, the commit of a checkout, the machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainables import provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that this code seems to run from."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "code.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "package" / "code.py"))
    return tmp_path


def commit() -> str | None:
    """Not the one that the process remembers."""
    return provenance.git_commit.__wrapped__()


def test_versions_of_what_numbers_depend_on() -> None:
    versions = json.loads(provenance.package_versions())
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "torchvision", "numpy", "pillow"} <= set(versions)


def test_a_checkout_is_named_by_its_commit_and_changes_are_marked(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert commit() == head
    (checkout / "notes.txt").write_text("not in the repository")
    assert commit() == head
    (checkout / "package" / "code.py").write_text("x = 2\n")
    assert commit() == f"{head}+dirty"


def test_installed_code_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "package" / "code.py"))
    assert commit() is None


@pytest.mark.parametrize("failure", [OSError("no git"), subprocess.TimeoutExpired("git", 10)])
def test_a_git_that_does_not_answer_stops_no_run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise failure

    monkeypatch.setattr(subprocess, "run", fails)
    assert commit() is None


def test_the_machine_and_its_processor_have_names() -> None:
    assert provenance.host_name()
    assert provenance.device_name("cpu")


def test_asking_for_the_record_of_a_cpu_run_loads_no_torch() -> None:
    code = (
        "import sys\nfrom trainables import provenance as p\n"
        "p.package_versions(), p.git_commit(), p.host_name(), p.device_name('cpu')\n"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
