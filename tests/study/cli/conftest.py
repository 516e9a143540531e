"""The command as a user meets it: its entry point, in an empty folder, with what it printed and returned."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from study.cli import main
from study.plan import build_plan
from study.spec import load_spec
from trainables.ledger import Ledger
from trainables.training.session import Session, SessionOptions

TINY = """
study: tiny
extends: fast_cpu
datasets:
  shapes: {name: glyphs, classes: 24, images_per_class: 6, image_size: 16}
methods:
  norm-softmax: {loss: norm_softmax}
  norm-softmax + PS: {loss: norm_softmax, synthesis: proxy_synthesis, baseline: norm-softmax}
compare: {dataset: [shapes], synthesis.ratio: [0.5, 1.0]}
replicates: {seeds: 2}
settings: {backbone: {name: conv4, width: 4}, embedding_dim: 8, training.epochs: 2, training.batch_size: 16}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def dml_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Calls the command in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("DML_STUDY_DATA", raising=False)

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["dml-study", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str = TINY, name: str = "tiny.yaml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return Path(name)

    return write


@pytest.fixture(scope="session")
def train_spec(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Trains the study of a spec without Ray; returns a folder with the spec and its results."""

    def train(name: str, text: str) -> Path:
        folder, cache = tmp_path_factory.mktemp(name), tmp_path_factory.getbasetemp() / "cache"
        (folder / f"{name}.yaml").write_text(text)
        plan = build_plan(load_spec(folder / f"{name}.yaml"), cache=cache)
        ledger = Ledger.open(folder / "results" / name, create=True)
        ledger.write_plan({**plan.record(), "spec": f"{name}.yaml"})
        for planned in plan.runs.values():
            session = Session(planned.config, ledger=ledger, options=SessionOptions(study=name, cache=cache))
            while not session.done:
                session.step()
        assert {commit.status for commit in ledger.commits().values()} == {"complete"}
        return folder

    return train


@pytest.fixture(scope="session")
def trained_once(train_spec: Callable[[str, str], Path]) -> Path:
    """A folder with the spec of a tiny study and its results."""
    return train_spec("tiny", TINY)


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of the trained study in the test's working directory; returns the results folder."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results" / "tiny"


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set of flat images: `write_images(train=["a", "b"], test=["c", "d"])`."""

    def write(name: str = "birds", images: int = 3, **splits: list[str]) -> Path:
        for split, classes in splits.items():
            for number, label in enumerate(classes):
                folder = tmp_path / name / split / label
                folder.mkdir(parents=True)
                for index in range(images):
                    Image.new("RGB", (8, 8), (40 * number, 60 * index, 90)).save(folder / f"{index}.png")
        return Path(name)

    return write


def files_in(folder: Path) -> set[str]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
