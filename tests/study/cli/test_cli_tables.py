"""`table` with keys of the user's choice, and `published`."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def test_a_parameter_as_columns(dml_study: Call, trained: Path) -> None:
    outcome = dml_study(
        "table", "tiny", "-m", "map_at_r", "--columns", "synthesis.ratio", "--show", "n,std", "-f", "csv"
    )
    rows = list(csv.reader(io.StringIO(outcome.out)))
    names = [name for name in rows[0] if name.endswith(" mean")]
    assert names == [f"shapes {ratio} MAP@R (%) mean" for ratio in ("no ratio", "ratio 0.5", "ratio 1.0")]
    assert [row[0] for row in rows[1:]] == ["untrained", "norm-softmax", "norm-softmax + PS"]
    filled = [[bool(row[rows[0].index(name)]) for name in names] for row in rows[1:]]
    assert filled == [[True, False, False], [True, False, False], [False, True, True]]


def test_rows_marks_and_checks(dml_study: Call, trained: Path) -> None:
    options = ["--rows", "metric, method", "--mark", "second", "--check", "synthesis=proxy_synthesis", "-f", "markdown"]
    lines = dml_study("table", "tiny", *options).out.splitlines()
    assert lines[0] == "| Metric | Method | ratio | proxy_synthesis | n | shapes | Δ shapes |"
    assert [line.split(" | ")[1:4] for line in lines[5:7]] == [["", "1.0", "✓"], ["untrained", "", ""]]
    assert sum(line.count("<ins>") for line in lines) == 3  # one of each metric


@pytest.mark.parametrize(("name", "first"), [("t.html", "<!doctype html>"), ("deep/t.typ", "#table(")])
def test_suffixes_of_pages_and_typst(name: str, first: str, dml_study: Call, trained: Path, tmp_path: Path) -> None:
    assert dml_study("table", "tiny", "-o", name).out == f"wrote {name}\n"
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(first)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rows", "methd"], ["unknown key 'methd'; did you mean 'method'?"]),
        (["--show", "std,delt"], ["unknown value 'delt'; did you mean 'delta'?"]),
        (["--mark", "secnd"], ["--mark", "did you mean 'second'?"]),
        (["--check", "synthesi"], ["unknown key 'synthesi'; did you mean 'synthesis'?"]),
        (["--with-published", "dataset=cars169"], ["did you mean 'cars196'?"]),
        (["--with-published", "all"], ["no published number fits the table (shapes recall_at_1; shapes r_precision"]),
    ],
)
def test_wrong_values(arguments: list[str], words: list[str], dml_study: Call, trained: Path) -> None:
    outcome = dml_study("table", "tiny", *arguments)
    text = " ".join(outcome.err.replace("│", " ").split())
    assert outcome.code == 2 and [word for word in words if word not in text] == [], outcome.err


def test_published_numbers_are_listed(dml_study: Call) -> None:
    chosen = ["dataset=cars196", "metric=map_at_r", "source=ps-readme", "base_loss=proxy_nca"]
    outcome = dml_study("published", *chosen)
    assert outcome.code == 0 and outcome.out.endswith("\n2 numbers\n")
    assert "26.42 ± 0.20" in outcome.out and "Gu, Ko and Kim, Proxy Synthesis, AAAI 2021" in outcome.out
    rows = list(csv.DictReader(io.StringIO(dml_study("published", *chosen, "--csv").out)))
    assert [(row["method"], row["mean"], row["selection"]) for row in rows] == [
        ("none", "25.35", "best_test"),
        ("proxy_synthesis", "26.42", "best_test"),
    ]
    assert dml_study("published", "datset=cars196").code == 2


def test_published_runs_become_a_study(dml_study: Call) -> None:
    assert dml_study("published", "--as-study", "readme").out.startswith("wrote readme; ")
    outcome = dml_study("table", "readme", "--with-published", "source=ps-readme,base_loss=proxy_nca", "-f", "markdown")
    assert "| norm_softmax + PS | 8 | **84.25** ± 0.31 | **36.76** ± 0.20 | **26.51** ± 0.19 |" in outcome.out
    assert "| proxy_nca + proxy_synthesis †1 | 8 | 84.21 ± 0.21 | 36.66 ± 0.18 | 26.42 ± 0.20 |" in outcome.out
    assert "is published as 24.92 ± 0.35; its 8 values give 24.96 ± 0.41." in outcome.out


def test_published_runs_have_no_spec_that_could_be_run(
    dml_study: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.reports.pictures.PLOTS", {})
    dml_study("published", "--as-study", "readme")
    status = dml_study("status", "readme")
    assert status.code == 0 and status.out.rstrip().endswith("next: `dml-study table readme`")
    assert dml_study("report", "readme").code == 0
    text = (tmp_path / "readme" / "report.html").read_text(encoding="utf-8")
    assert "dml-study table readme" in text and "84.25" in text
    assert "dml-study run" not in text and "dml-study reproduce" not in text
