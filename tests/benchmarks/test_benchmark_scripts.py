"""Every script of benchmarks/ says how it is called, and small sizes give the figures that its table shows."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
HELPERS = {"alone", "nothing", "processes", "report", "training"}
SCRIPTS = sorted({path.stem for path in FOLDER.glob("*.py")} - HELPERS - {"plain_tune"})


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """They import each other by their plain names, draw their images everywhere, and leave threads as they were."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("DML_STUDY_DATA", str(tmp_path / "no photos"))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for name in {*HELPERS, *SCRIPTS}:
        sys.modules.pop(name, None)


def ran(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> dict[str, Any]:
    """What a script writes when it is called in this process."""
    monkeypatch.setattr(sys, "argv", [str(FOLDER / f"{script}.py"), *options, "--json", str(folder / "results")])
    importlib.import_module(script).main()
    (written,) = (folder / "results").iterdir()
    found: dict[str, Any] = json.loads(written.read_text())
    assert found["command"].startswith(f"python benchmarks/{script}.py {' '.join(options)}")
    assert {"machine", "versions", "load before"} <= found.keys()
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_tells_what_is_measured(script: str) -> None:
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: {script}.py")


def test_step_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ran("step_cost", tmp_path, monkeypatch, "--classes", "10", "--only", "norm", "--steps", "1")
    cases = found["steps by way"]["norm_softmax"]
    assert list(cases) == ["10 as shipped", "10 whole", "10 in pieces"]
    assert all(case["ms"] > 0 for case in cases.values())


def test_a_step_that_is_too_large_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--classes", "10", "1000000", "--memory", "0.5", "--only", "cosface", "--steps", "1"]
    found = ran("step_cost", tmp_path, monkeypatch, *sizes)
    assert list(found["steps by way"]["cosface"]) == ["10 as shipped"]
    assert "not measured" in capsys.readouterr().out


def test_profile_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ["--model", "head", "conv4", "--size", "16", "--batch", "8", "--steps", "1"]
    found = ran("profile_step", tmp_path, monkeypatch, *sizes)["ms per step"]
    for parts in found.values():
        assert all(parts[name] > 0 for name in ("data", "forward", "loss", "backward", "optimizer", "rest"))
        assert len(parts["operators"]) == 8
    assert found["conv4"]["operators"][0][1] >= found["conv4"]["operators"][1][1]


def test_frozen_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ["--backbone", "conv4", "--size", "16", "--images", "64", "--repeat", "1"]
    found = ran("frozen_features", tmp_path, monkeypatch, *sizes)
    assert found["seconds"].keys() == {"cache", "cached", "through", "fine-tuned"}
    assert found["times as fast"]["through"].keys() == {"one run", "study", "epoch"}


@pytest.mark.slow
def test_throughput(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ["--backbone", "conv4", "--size", "16", "--batch", "8", "--steps", "1", "--photo", "32", "--workers", "1"]
    found = ran("train_throughput", tmp_path, monkeypatch, *sizes)["images per second"]["conv4"]
    assert found.keys() == {"dml-study", "the limit", "plain loop"}
    assert all(found.values())


@pytest.mark.slow
def test_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    ways = ran("evaluation_60502", tmp_path, monkeypatch, "--items", "500")["ways"]
    assert ways["dml-study"]["metrics"] == pytest.approx(ways["AccuracyCalculator"]["metrics"], abs=1e-9)
    assert all(way["cpu"] > 0 for way in ways.values())


@pytest.mark.slow
def test_trial_overhead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ran("trial_overhead", tmp_path, monkeypatch, "--runs", "2", "--epochs", "2", "--images", "4")
    assert found["run"]["whole"] >= found["run"]["training"] > 0
    assert found["start-up"] > 0
    assert found["session ms"].keys() == {"build", "train", "evaluate", "checkpoint", "end"}


def test_fused_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where operators are counted at all, they are as many for two runs as for three."""
    sizes = ["--runs", "2", "3", "--batch", "8", "--repeat", "1", "--only", "head,"]
    found = ran("fused_step", tmp_path, monkeypatch, *sizes)["models"]["head, proxy_synthesis"]
    assert found["2"]["operators, step"] == found["3"]["operators, step"] > 50
    assert all(value > 0 for row in found.values() for value in row.values())
