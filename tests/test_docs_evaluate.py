"""What docs/evaluate.md shows is true: its Python runs, its commands have these options, its metrics exist."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from study.cli.app import app
from study.plan import build_plan
from study.spec import load_spec
from trainables.evaluation.names import metric_name
from trainables.ledger import Ledger, evaluations
from trainables.training.session import Session, SessionOptions

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
SMALL = (
    "settings.training.epochs=1",
    "settings.dataset={name: glyphs, classes: 24, images_per_class: 6, image_size: 16}",
    "settings.backbone={name: conv4, width: 4}",
    "replicates.seeds=1",
    "keep.embeddings=test",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_python_examples_run(tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = build_plan(load_spec(ROOT / "study/studies/demo.yaml", overrides=list(SMALL)), cache=private_cache)
    run = next(each.config for each in plan.runs.values() if each.config.strategy.trains)
    ledger = Ledger.open(tmp_path / "results" / "demo", create=True)
    ledger.write_plan(plan.record())
    session = Session(run, ledger=ledger, options=SessionOptions(study="demo", cache=private_cache))
    while not session.done:
        session.step()
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
