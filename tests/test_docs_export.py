"""What docs/export.md shows is true: its Python runs on real exports, its commands and their options exist."""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from study.cli.app import app
from study.plan import build_plan
from study.spec import load_spec
from trainables.export import export_model
from trainables.export.embeddings import export_embeddings
from trainables.ledger import Ledger
from trainables.training.session import Session, SessionOptions

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
SMALL = (
    "settings.training.epochs=1",
    "settings.dataset={name: glyphs, classes: 24, images_per_class: 6, image_size: 16}",
    "settings.backbone={name: conv4, width: 4}",
    "replicates.seeds=1",
    "keep.weights=selected",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_python_examples_run(tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = build_plan(load_spec(ROOT / "study/studies/demo.yaml", overrides=list(SMALL)), cache=private_cache)
    run = next(each.config for each in plan.runs.values() if each.config.strategy.trains)
    ledger = Ledger.open(tmp_path / "results", create=True)
    session = Session(run, ledger=ledger, options=SessionOptions(study="demo", cache=private_cache))
    while not session.done:
        session.step()
    formats: Any = ("safetensors",)
    export_model(ledger, session.run_id, target=tmp_path / "my-model", cache=private_cache, formats=formats)
    target = tmp_path / "my-embeddings.npz"
    export_embeddings(ledger, session.run_id, part="test", target=target, cache=private_cache)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (30, 20), "white").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for code in blocks("python"):
        exec(code, scope)
    assert scope["embeddings"].shape == (2, run.embedding_dim)
    assert scope["file"].embeddings.shape == (12 * 6, run.embedding_dim)


def test_the_commands_and_their_options_exist() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 7
    for line in lines:
        words = [word for word in line.partition("#")[0].split()[1:] if word.islower()]
        help_text = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
        assert help_text.exit_code == 0, line
        for option in re.findall(r"--[a-z]+", line.partition("# then:")[0]):
            assert option in help_text.output, line
