"""`compare` on real rows."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
CLAIM = "norm-softmax + PS > norm-softmax on map_at_r"


def test_a_sentence_for_each_comparison(dml_study: Call, trained: Path) -> None:
    outcome = dml_study("compare", "tiny")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    for line, ratio in zip(lines, ("0.5", "1.0"), strict=False):
        assert line.startswith("norm-softmax + PS ")
        assert f"(shapes, ratio {ratio})" in line
    assert any("over test classes), 2 paired seeds, p = " in line for line in lines)
    assert "Exploration: " in outcome.out
    assert "All comparisons: too few seeds" in outcome.out


def test_claims_of_ones_own(dml_study: Call, trained: Path) -> None:
    content = json.loads(dml_study("compare", "tiny", "--claim", CLAIM, "-f", "json").out)
    assert content["family"] == 2
    assert {each["origin"] for each in content["comparisons"]} == {"asked"}
    assert all(each["classes"] > 0 and each["n"] == 2 for each in content["comparisons"])


def test_the_suffix_says_the_format(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    outcome = dml_study("compare", "tiny", "-m", "recall_at_1", "-m", "map_at_r", "-o", "claims.csv")
    assert (outcome.code, outcome.out) == (0, "wrote claims.csv\n")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "claims.csv").read_text())))
    assert [row["metric"] for row in rows] == ["recall_at_1"] * 2 + ["map_at_r"] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--claim", "PS > norm-softmax on map_at_r"], "unknown method 'PS'"),
        (["--claim", CLAIM.replace("map_at_r", "map_at_k")], "did you mean 'map_at_r'?"),
        (["--best", "map_at_r"], "chosen on validation classes"),
        (["-o", "claims.tex"], "its suffix should be one of .md, .csv, .json, .txt"),
        (["--format", "markdwn"], "did you mean 'markdown'?"),
        (["--alpha", "2"], "less than or equal to 0.5"),
    ],
)
def test_bad_input_is_refused(options: list[str], message: str, dml_study: Call, trained: Path) -> None:
    outcome = dml_study("compare", "tiny", *options)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.replace("│", "").split())
