"""`init`, `schema`, `plan`, `check`, help and version: everything before a study starts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.cli.views.columns import Column, print_columns
from study.packing import PackingBook
from study.plan import build_plan
from study.spec import load_spec
from trainables.errors import TrainingError
from trainables.ledger import Ledger

Call = Callable[..., Any]

LONG = """
study: long
extends: fast_cpu
untrained: false
methods:
  "a method with a long name that never folds": {loss: norm_softmax, synthesis: proxy_synthesis}
  "ps [bold]": {loss: proxy_nca, synthesis: proxy_synthesis}
compare: {synthesis.ratio: [0.5, 1.0], synthesis.mixup_alpha: [0.4, 1.0]}
replicates: {seeds: 5}
settings: {training.epochs: 1}
"""


def test_help_lists_every_command(dml_study: Call) -> None:
    commands = ["init", "schema", "check", "plan", "run", "status", "show", "logs", "debug", "table", "plot", "doctor"]
    commands += ["invalidate", "reproduce"]
    for arguments in ([], ["--help"]):
        outcome = dml_study(*arguments)
        assert [command for command in commands if f" {command} " not in outcome.out] == []
    for command in commands:
        outcome = dml_study(command, "--help")
        assert outcome.code == 0 and "Usage: dml-study" in outcome.out and outcome.err == ""


def test_version(dml_study: Call) -> None:
    outcome = dml_study("--version")
    assert (outcome.code, outcome.err) == (0, "") and outcome.out.startswith("dml-study ")


def test_init_writes_a_spec_that_plans(dml_study: Call, tmp_path: Path) -> None:
    outcome = dml_study("init", "my study.yaml")
    assert outcome.code == 0 and "`dml-study plan 'my study.yaml'`" in outcome.out
    planned = dml_study("plan", "my study.yaml")
    assert planned.code == 0 and planned.out.startswith("my study: 3 methods, 6 cells, 18 replicates -> 18 runs")
    assert "results/my study: 18 due" in planned.out
    (tmp_path / "my study.yaml").write_text("mine")
    assert dml_study("init", "my study.yaml").code == 2
    assert (tmp_path / "my study.yaml").read_text() == "mine"
    assert dml_study("init", "my study.yaml", "--force").code == 0
    assert dml_study("init", "new/folder/study.yaml").code == 0


def test_schema(dml_study: Call, tmp_path: Path) -> None:
    printed = dml_study("schema")
    assert dml_study("schema", "schema.json").code == 0
    assert json.loads(printed.out) == json.loads((tmp_path / "schema.json").read_text())


def test_plan_counts_what_is_done(dml_study: Call, trained: Path) -> None:
    outcome = dml_study("plan", "tiny.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    assert "tiny: 3 methods, 4 cells, 8 replicates -> 8 runs" in outcome.out
    assert outcome.out.count("2/2") == 4 and "results/tiny: 8 complete\n" in outcome.out
    more = ["--set", "compare.synthesis.ratio=[0.5, 2.0]", "--set", "replicates.seeds=3"]
    assert "results/tiny: 6 complete, 6 due\n" in dml_study("plan", "tiny.yaml", *more).out


def test_plan_reads_another_results_folder(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    trained.rename(tmp_path / "elsewhere")
    assert "results/tiny: 8 due" in dml_study("plan", "tiny.yaml").out
    assert "elsewhere: 8 complete" in dml_study("plan", "tiny.yaml", "-r", "elsewhere").out


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_rows_fit_the_terminal_and_ids_give_way_first(
    width: int, dml_study: Call, write_spec: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(LONG, "long.yaml")
    monkeypatch.setenv("COLUMNS", str(width))
    lines = dml_study("plan", "long.yaml").out.splitlines()
    rows = [line for line in lines if " 0/5" in line]
    assert len(rows) == 8 and max(map(len, rows)) <= width
    whole = "a method with a long name that never folds"
    assert all((whole in row) == (width > 60) for row in rows[:4])
    assert all("ps [bold]" in row for row in rows[4:])
    shown = {60: 0, 80: 0, 100: 2, 200: 4}[width]
    assert [len(row.partition("0/5")[2].replace("...", "").split()) for row in rows] == [shown] * 8


def test_a_pipe_has_no_width(dml_study: Call, write_spec: Call) -> None:
    write_spec(LONG, "long.yaml")
    rows = [line for line in dml_study("plan", "long.yaml").out.splitlines() if " 0/5" in line]
    assert all(row.endswith(" ...") and len(row.partition("0/5")[2].split()) == 5 for row in rows)


def test_limit(dml_study: Call, write_spec: Call) -> None:
    write_spec(LONG, "long.yaml")
    some = dml_study("plan", "long.yaml", "--limit", "3").out
    assert some.count(" 0/5") == 3 and "... and 5 more cells; --limit 8 shows them" in some
    none = dml_study("plan", "long.yaml", "--limit", "0").out
    assert " 0/5" not in none and "... and 8 more cells" in none


def test_columns_of_wide_characters_stay_in_line(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    columns = [Column("method", ["字形", "ab"]), Column("n", ["1", "22"], right=True)]
    print_columns(Console(width=80, no_color=True), columns)
    assert capsys.readouterr().out.splitlines() == ["method   n", "字形     1", "ab      22"]


def test_explain_says_where_values_come_from(dml_study: Call, write_spec: Call) -> None:
    write_spec()
    outcome = dml_study("plan", "tiny.yaml", "--explain", "synthesis.ratio=0.5", "--set", "optimizer.lr=0.01")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in outcome.out.splitlines() if line.strip()}
    assert lines["synthesis.ratio"] == "0.5 compare (tiny.yaml:9)"
    assert lines["optimizer.lr"] == "0.01 --set"
    assert lines["schedule.name"].startswith("cosine preset fast_cpu (fast_cpu.yaml:")
    assert lines["training.clip_norm"] == "null default"
    assert lines["seed"] == "[0, 1] replicates (tiny.yaml:10)"


def test_warnings_are_told(dml_study: Call, write_spec: Call) -> None:
    write_spec(LONG.replace("proxy_nca", "{name: proxy_nca, scale: 11.5}"), "long.yaml")
    outcome = dml_study("plan", "long.yaml")
    assert outcome.code == 0 and "warning: " in outcome.out and "the same function" in outcome.out


def test_check_rehearses_every_cell(dml_study: Call, write_spec: Call, tmp_path: Path) -> None:
    write_spec()
    outcome = dml_study("check", "tiny.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "4 of 4 distinct cells pass; 8 runs would train\n"
    assert not (tmp_path / "results").exists()


def test_check_names_the_cells_that_fail(dml_study: Call, write_spec: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.training import rehearsal

    def fail(run: Any, *, cache: Path, sources: dict[str, Any]) -> None:
        if getattr(run.synthesis, "ratio", 0) == 1.0:
            raise TrainingError("the loss became nan")

    monkeypatch.setattr(rehearsal, "rehearse", fail)
    write_spec()
    outcome = dml_study("check", "tiny.yaml")
    assert outcome.code == 1 and outcome.out == "3 of 4 distinct cells pass; 8 runs would train\n"
    assert outcome.err == "fails: norm-softmax + PS, ratio 1.0, seed 0: TrainingError: the loss became nan\n"


@pytest.mark.parametrize(
    ("resources", "line"),
    [
        ("{gpu: 0.25}", "packing: 4 runs, 4 trials per GPU"),
        ("{gpu_memory: 10GiB}", "packing: 4 runs, as many per GPU as 10 GiB each allow"),
        ("{gpu: auto}", "packing: 4 runs, as many per GPU as their memory allows, which is measured before they start"),
    ],
)
def test_plan_says_how_runs_share_a_gpu(dml_study: Call, tmp_path: Path, resources: str, line: str) -> None:
    text = f"study: s\nmethods: {{a: {{}}}}\nuntrained: false\nreplicates: {{seeds: 4}}\nresources: {resources}\n"
    (tmp_path / "s.yaml").write_text(text)
    assert line in dml_study("plan", "s.yaml").out.splitlines()
    assert "packing" not in dml_study("plan", "s.yaml", "--set", "resources.gpu=1").out


def test_plan_and_status_say_which_runs_needed_a_larger_share(dml_study: Call, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("study: s\nmethods: {a: {}}\nuntrained: false\nresources: {gpu: 0.125}\n")
    plan = build_plan(load_spec(tmp_path / "s.yaml"))
    ledger = Ledger.open(tmp_path / "results" / "s", create=True)
    ledger.write_plan(plan.record())
    book = PackingBook(ledger)
    book.retried = {"a": 0.25, "b": 0.25, "c": 1.0}
    book.save()
    line = "packing: started again after they ran out of GPU memory: 2 with 4 trials per GPU, 1 with 1 trial per GPU"
    assert line in dml_study("plan", "s.yaml").out.splitlines()
    assert f"  {line}" in dml_study("status", "s").out.splitlines()
