"""`table` and `plot` on real rows."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainables.ledger import Ledger

Call = Callable[..., Any]


def test_the_table_on_a_terminal(dml_study: Call, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = dml_study("table", "tiny")
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert all(line.count("[") == line.count("]") for line in outcome.out.splitlines())  # intervals are not folded
    for word in ("untrained", "norm-softmax + PS", "MAP@R (%)", "Recall@1 (%)", "paired t-interval"):
        assert word in outcome.out


@pytest.mark.parametrize(
    ("format_", "first"),
    [("markdown", "| Method |"), ("latex", "% \\usepackage{booktabs}"), ("latex-document", "\\documentclass")],
)
def test_formats(format_: str, first: str, dml_study: Call, trained: Path) -> None:
    outcome = dml_study("table", "tiny.yaml", "--format", format_)
    assert outcome.code == 0 and outcome.out.startswith(first)


def test_csv_has_the_numbers_of_the_ledger(dml_study: Call, trained: Path) -> None:
    outcome = dml_study("table", "results/tiny", "-f", "csv", "-m", "map_at_r")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    ledger = Ledger.open(trained)
    cells, runs = ledger.read_plan()["cells"], {row["run_id"]: row for row in ledger.read("runs").to_pylist()}
    for row, cell in zip(rows, cells, strict=True):
        values = [runs[each["run_id"]]["test_map_at_r"] for each in cell["replicates"]]
        assert float(row["shapes MAP@R (%) mean"]) == pytest.approx(100 * sum(values) / len(values))


@pytest.mark.parametrize(
    ("name", "first"), [("t.md", "| Method"), ("deep/t.tex", "% \\use"), ("t.csv", "Method,ratio")]
)
def test_the_suffix_says_the_format(name: str, first: str, dml_study: Call, trained: Path, tmp_path: Path) -> None:
    outcome = dml_study("table", "tiny", "-o", name)
    assert (outcome.code, outcome.out) == (0, f"wrote {name}\n")
    assert (tmp_path / name).read_text().startswith(first)


def test_a_format_beats_the_suffix(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    assert dml_study("table", "tiny", "-o", "t.txt", "-f", "markdown").code == 0
    assert (tmp_path / "t.txt").read_text().startswith("| Method")


def test_best_sort_and_group(dml_study: Call, trained: Path) -> None:
    best = dml_study("table", "tiny", "--best", "val_map_at_r", "-f", "csv").out
    assert [line.split(",")[0] for line in best.splitlines()[1:]] == ["untrained", "norm-softmax", "norm-softmax + PS"]
    by_metric = list(csv.DictReader(io.StringIO(dml_study("table", "tiny", "--sort", "recall_at_1", "-f", "csv").out)))
    means = [float(row["shapes Recall@1 (%) mean"]) for row in by_metric[1:]]
    assert means == sorted(means, reverse=True)
    assert dml_study("table", "tiny", "--group", "metric").code == 0
    assert "Recall@2" in dml_study("table", "tiny", "-m", "recall_at_2").out


def test_plots(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    outcome = dml_study("plot", "tiny", "--kind", "curves", "-m", "train_loss")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [f"wrote results/tiny/plots/curves-train_loss.{kind}" for kind in ("pdf", "png")]
    axes = ["--kind", "heatmap", "--x", "synthesis.ratio", "--y", "method", "--show", "difference"]
    assert dml_study("plot", "tiny", *axes, "-o", "deep/map.png").out == "wrote deep/map.png\n"
    assert (tmp_path / "deep" / "map.png").read_bytes().startswith(b"\x89PNG")
    everything = dml_study("plot", "tiny", "-o", "all")
    assert everything.code == 0 and "all/curves-map_at_r.png" in everything.out


def test_kinds_of_plots_are_listed_with_what_a_study_lacks(dml_study: Call, trained: Path) -> None:
    lines = dml_study("plot", "tiny", "--kind", "list").out.splitlines()
    kinds = [line.split(":")[0] for line in lines if not line.startswith(" ")]
    assert {"heatmap", "contours", "curves", "curves-time", "sensitivity", "at-k", "forest", "bars"} <= set(kinds)
    lacking = lines[[line.split(":")[0] for line in lines].index("robustness") + 1]
    assert lacking.startswith("  not here: 'test_map_at_r' was not measured on deformed images")
    assert not (trained / "plots").exists()


def test_several_kinds_are_drawn_and_named_after_their_metric(dml_study: Call, trained: Path) -> None:
    wanted = ["--kind", "bars", "--kind", "at-k"]
    outcome = dml_study("plot", "tiny", *wanted, "--spread", "std", "-m", "recall_at_1", "-o", "figures")
    assert (outcome.code, outcome.err) == (0, "")
    names = ["bars-recall_at_1", "at-k-recall"]
    assert outcome.out.splitlines() == [f"wrote figures/{name}.{kind}" for name in names for kind in ("pdf", "png")]
    refused = dml_study("plot", "tiny", "--kind", "bars", "--kind", "teacher-gap")
    assert refused.code == 2 and "teacher-gap: no method learns from a teacher" in refused.err
    assert "wrote" not in refused.out
    assert "no method 'nobody'" in dml_study("plot", "tiny", "--kind", "bars", "--method", "nobody").err
