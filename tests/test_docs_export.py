"""What docs/export.md shows is true: its Python runs on real exports, its commands and their options exist."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from study.cli.app import app
from trainables.export import export_model
from trainables.export.embeddings import export_embeddings
from trainables.ledger import Ledger

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_python_examples_run(
    tmp_path: Path, private_cache: Path, train_demo: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = train_demo(tmp_path / "results", "keep.weights=selected")
    (run,) = ledger.read("runs", columns=["run_id", "embedding_dim"]).to_pylist()
    formats: Any = ("safetensors",)
    export_model(ledger, run["run_id"], target=tmp_path / "my-model", cache=private_cache, formats=formats)
    target = tmp_path / "my-embeddings.npz"
    export_embeddings(ledger, run["run_id"], part="test", target=target, cache=private_cache)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (30, 20), "white").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for code in blocks("python"):
        exec(code, scope)
    assert scope["embeddings"].shape == (2, run["embedding_dim"])
    assert scope["file"].embeddings.shape == (12 * 6, run["embedding_dim"])


def test_the_commands_and_their_options_exist() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 7
    for line in lines:
        words = [word for word in line.partition("#")[0].split()[1:] if word.islower()]
        help_text = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
        assert help_text.exit_code == 0, line
        for option in re.findall(r"--[a-z]+", line.partition("# then:")[0]):
            assert option in help_text.output, line
