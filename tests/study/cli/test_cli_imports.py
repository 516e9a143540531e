"""Causes, not times: what a command loads and opens, seen from a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.plan import build_plan
from study.spec import load_spec
from trainables.ledger import Ledger

HEAVY = {"torch", "torchvision", "ray", "pandas", "numpy", "pyarrow", "scipy", "matplotlib", "PIL", "optuna"}
PROBE = """
import json, sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
sys.argv = ["dml-study", *sys.argv[1:]]
from study.cli import main
try:
    main()
except SystemExit as exit_:
    code = exit_.code
sys.stdout.flush()
parquet = [path for path in opened if path.endswith(".parquet")]
modules = sorted(sys.modules)
loaded = sorted({name.partition(".")[0] for name in modules})
print(json.dumps({"code": code or 0, "loaded": loaded, "modules": modules, "parquet": parquet}), file=sys.stderr)
"""


def probe(*arguments: str, folder: Path) -> tuple[str, dict[str, list[str]]]:
    """Standard output of a command, and what it loaded and opened."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(done.stderr.splitlines()[-1])
    assert report["code"] == 0, done.stderr
    return done.stdout, report


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["table", "--help"],
        ["report", "--help"],
        ["export", "optuna", "--help"],
        ["export", "model", "--help"],
        ["import", "--help"],
        ["plan", "tiny.yaml"],
        ["plan", "tiny.yaml", "--explain", "2"],
        ["plan", "tiny.yaml", "--set", "methods.norm-softmax.tune.loss.scale=[8, 16]", "--results", "new"],
        ["status", "tiny"],
        ["logs", "{run}"],
        ["datasets", "list"],
        ["init", "new.yaml"],
        ["schema", "schema.json"],
    ],
    ids=" ".join,
)
def test_light_commands_load_nothing_heavy(arguments: list[str], trained: Path, tmp_path: Path) -> None:
    some_run = next(iter(Ledger.open(trained).commits()))
    _, report = probe(*(argument.format(run=some_run) for argument in arguments), folder=tmp_path)
    assert HEAVY & set(report["loaded"]) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["status", "tiny"]], ids=" ".join)
def test_a_look_at_a_ledger_builds_no_specs(arguments: list[str], trained: Path, tmp_path: Path) -> None:
    """Classes of the spec's sections are most of what a plan has to import."""
    _, report = probe(*arguments, folder=tmp_path)
    assert not {"study.spec", "study.plan", "trainables.config"} & set(report["modules"])
    _, planned = probe("plan", "tiny.yaml", folder=tmp_path)
    assert {"study.spec", "study.plan", "trainables.config"} <= set(planned["modules"])


def test_a_finished_study_is_not_trained_again(trained: Path, tmp_path: Path) -> None:
    output, report = probe("run", "tiny.yaml", folder=tmp_path)
    assert "8 of 8 runs complete, 0 trained now" in output
    assert {"ray", "torch"} & set(report["loaded"]) == set()


def test_plan_and_status_open_no_part_file(trained: Path, tmp_path: Path) -> None:
    """With runs in parts of their own, and with runs in a compacted file."""
    ledger = Ledger.open(trained)
    (last,) = list(ledger.commits())[-1:]
    kept = (trained / "runs" / ledger.commits()[last].name).read_bytes()
    (trained / "runs" / ledger.commits()[last].name).unlink()
    assert ledger.compact(minimum_parts=2) > 0
    (trained / "runs" / f"{last}.0000_01.complete.parquet").write_bytes(kept)
    names = [file.name for file in (trained / "runs").glob("*.parquet")]
    assert sum(name.startswith("compacted-") for name in names) == 1 and len(names) == 2

    output, report = probe("plan", "tiny.yaml", folder=tmp_path)
    assert "8 complete" in output and report["parquet"] == []
    output, report = probe("status", "tiny", folder=tmp_path)
    assert "8 done" in output and report["parquet"] == []


def test_the_probe_sees_part_files(trained: Path, tmp_path: Path) -> None:
    """Otherwise the test before this one proves nothing."""
    _, report = probe("show", next(iter(Ledger.open(trained).commits())), folder=tmp_path)
    assert len(report["parquet"]) >= 1 and "pyarrow" in report["loaded"]


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """`python -m study`, with its exit code and its errors where they belong."""
    (tmp_path / "wrong.yaml").write_text("study: wrong\nmethod: {}\n")
    command = [sys.executable, "-m", "study", "plan", "wrong.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and "wrong.yaml:2: method: unknown key 'method'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`dml-study schema | head -1`."""
    command = f"set -o pipefail; {sys.executable} -m study schema | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "{\n" and done.stderr == ""


def test_the_plan_is_the_one_that_python_makes(trained: Path, tmp_path: Path, private_cache: Path) -> None:
    plan = build_plan(load_spec(tmp_path / "tiny.yaml"), cache=private_cache)
    assert set(plan.runs) == set(Ledger.open(trained).commits())
