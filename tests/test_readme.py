"""What the README shows is true: its spec plans, its Python and SQL run on a real ledger, its commands exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from study.cli.app import app
from study.plan import build_plan
from study.spec import load_spec
from study.studies import shipped
from trainables.ledger import Ledger
from trainables.training.session import Session, SessionOptions

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_spec_plans(tmp_path: Path, private_cache: Path) -> None:
    spec, _ = blocks("yaml")
    file = tmp_path / "spec.yaml"
    file.write_text(spec)
    plan = build_plan(load_spec(file), cache=private_cache)
    cells = [cell.method for cell in plan.cells]
    assert cells.count("norm-softmax") == 1
    assert cells.count("norm-softmax + PS") == 9
    assert len(plan.runs) == 3 * (1 + 1 + 9)


def test_the_search_plans(tmp_path: Path, private_cache: Path) -> None:
    _, spec = blocks("yaml")
    file = tmp_path / "spec.yaml"
    file.write_text(spec)
    plan = build_plan(load_spec(file), cache=private_cache)
    assert [len(search.cell.space.keys) for search in plan.searches] == [1, 3]
    assert all(search.runs_left == 20 * 2 for search in plan.searches)


@pytest.fixture(scope="module")
def demo_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a small demo study, trained without Ray."""
    folder, cache = tmp_path_factory.mktemp("readme"), tmp_path_factory.getbasetemp() / "cache"
    overrides = [
        "settings.training.epochs=1",
        "settings.dataset={name: glyphs, classes: 24, images_per_class: 6, image_size: 16}",
        "compare={synthesis.ratio: [1.0]}",
        "settings.backbone={name: conv4, width: 4}",
        "replicates.seeds=1",
    ]
    plan = build_plan(load_spec(ROOT / "study/studies/demo.yaml", overrides=overrides), cache=cache)
    ledger = Ledger.open(folder / "results" / "demo", create=True)
    ledger.write_plan(plan.record())
    for planned in plan.runs.values():
        session = Session(planned.config, ledger=ledger, options=SessionOptions(study="demo", cache=cache))
        while not session.done:
            session.step()
    return folder


def test_the_python_example_runs(demo_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks("python")
    monkeypatch.chdir(demo_ledger)
    scope: dict[str, object] = {}
    exec(code, scope)
    assert {"norm-softmax + PS"} <= set(scope["study"].replicates["method"])  # type: ignore[attr-defined]


def test_the_sql_example_runs(demo_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    (query,) = blocks("sql")
    monkeypatch.chdir(demo_ledger)
    rows = duckdb.sql(query).fetchall()
    assert {synthesis for _, synthesis, _ in rows} == {"none", "proxy_synthesis"}


def test_the_commands_exist_and_their_options_too() -> None:
    inline = re.findall(r"`(dml-study [a-z][^`]*)`", README)
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    commands = {command for command in [*inline, *lines] if command.startswith("dml-study ")}
    assert len(commands) > 10
    for command in sorted(commands):
        _, name, *arguments = shlex.split(command)
        help_text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
        assert help_text.exit_code == 0, command
        for argument in arguments:
            if argument.startswith("--"):
                assert argument in help_text.output, command


def test_every_shipped_study_is_a_valid_spec() -> None:
    for file in sorted((ROOT / "study/studies").glob("*.yaml")):
        plan = build_plan(load_spec(file), resolve_data=False)
        assert plan.study == file.stem


def test_every_shipped_study_is_named() -> None:
    unnamed = [name for name in shipped() if f"`{name}`" not in README and f"make {name}" not in README]
    assert unnamed == []
