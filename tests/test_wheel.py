"""The wheel is complete: built from the tree and used outside the checkout, it plans and runs the demo study."""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("study", "trainables", "analysis")
SMALLER = ("settings.training.epochs=1", "replicates.seeds=1", "compare.synthesis.ratio=[1.0]")


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # a copy: a build leaves folders behind whose stale files the next wheel would carry
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    call(*pip, "--wheel-dir", folder, tree, cwd=folder)
    (built,) = folder.glob("dml_study-*.whl")
    return built


def run_demo(command: list[str], folder: Path, **environment: str) -> None:
    changes = [part for change in SMALLER for part in ("--set", change)]
    with tempfile.TemporaryDirectory(prefix="dmlw", dir="/tmp") as short:  # Ray's sockets want short paths
        output = call(*command, "run", "demo", *changes, cwd=folder, TMPDIR=short, **environment)
    assert "4 of 4 runs complete" in output
    table = call(*command, "table", "results/demo", "--format", "markdown", cwd=folder, **environment)
    assert "norm-softmax + PS" in table
    call(*command, "plot", "results/demo", "--kind", "curves", cwd=folder, **environment)
    assert list((folder / "results/demo/plots").glob("*.pdf"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked, as an installation does it, beside the packages of this environment."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("[!.]*") if path.is_file())
    expected = {path.relative_to(ROOT).as_posix() for path in files if path.parent.name != "__pycache__"}
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert carried == expected


def test_the_wheel_plans_the_demo_study(site: Path, tmp_path: Path) -> None:
    where = "import study, trainables, analysis; print(study.__file__, trainables.__file__, analysis.__file__)"
    found = call(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(site)).split()
    assert all(path.startswith(str(site)) for path in found)
    planned = call(sys.executable, "-m", "study", "plan", "demo", cwd=tmp_path, PYTHONPATH=str(site))
    assert "norm-softmax + PS" in planned


@pytest.mark.slow
def test_the_wheel_runs_the_demo_study(site: Path, tmp_path: Path) -> None:
    """Beside the packages of this environment; the other slow test installs what the wheel asks for."""
    run_demo([sys.executable, "-m", "study"], tmp_path, PYTHONPATH=str(site))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_installs_into_an_empty_environment_and_runs_the_demo_study(wheel: Path, tmp_path: Path) -> None:
    environment, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    venv.create(environment, with_pip=True)
    pip = (environment / "bin" / "python", "-m", "pip", "install", "--quiet")
    call(*pip, "-c", ROOT / "constraints.txt", wheel, cwd=work)
    run_demo([str(environment / "bin" / "dml-study")], work)
