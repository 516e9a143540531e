"""What docs/evaluate.md shows is true: its Python runs, its commands have these options, its metrics exist."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from study.cli.app import app
from trainables.evaluation.names import metric_name
from trainables.ledger import Ledger, evaluations

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_python_examples_run(
    tmp_path: Path, train_demo: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = train_demo(tmp_path / "results" / "demo", "keep.embeddings=test")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for code in blocks("python"):
        exec(code, scope)
    (found,) = evaluations.known(ledger).values()
    assert set(found) == {"test_recall_at_16", "test_map"}


def test_options_and_metrics_exist() -> None:
    help_text = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "200"}).output
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("dml-study evaluate")]
    used = {option for line in lines for option in re.findall(r"\s(--?[a-z][a-z-]*)", line.partition("#")[0])}
    assert len(lines) == 5 and all(option in help_text for option in used)
    names = re.findall(r"`([a-z_K]+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, flags=re.MULTILINE)))
    assert len(names) == 10 and all(metric_name(name.replace("K", "7")) for name in names)
