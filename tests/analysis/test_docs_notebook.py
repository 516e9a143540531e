"""What docs/notebook.md shows is true: its code runs in order, its functions exist, everything shows itself."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from study_in_memory import Study

from analysis import ClaimReport, Results, Table, check_claims, plots

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "notebook.md").read_text(encoding="utf-8")


def study(name: str = "demo") -> Study:
    made = Study(name=name, seeds=range(5))
    base = made.add("base", [0.50, 0.51, 0.49, 0.50, 0.52])
    better = made.add("<PS> & co", [0.55, 0.57, 0.54, 0.56, 0.56], baseline=base)
    for cell in (base, better):
        made.curve(cell, [[0.3, 0.4, 0.5]] * 5)
    made.claim("<PS> & co", "base")
    return made


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study().write(tmp_path / "results" / "demo")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(code, scope)
    assert {file.suffix for file in (tmp_path / "plots").iterdir()} == {".pdf", ".png"}
    assert isinstance(scope["table"], Table) and isinstance(scope["report"], ClaimReport)
    assert r"\toprule" in scope["latex"] and isinstance(scope["figure"], Figure)
    frame = scope["table"].frame.query("metric == 'test_map_at_r' and delta == delta")
    assert frame["delta"].tolist() == pytest.approx([5.2])
    assert frame[["mean", "n"]].to_numpy().tolist() == [pytest.approx([55.6, 5])]


def test_the_functions_exist() -> None:
    for name in re.findall(r"`((?:analysis|study|trainables|plots)\.[\w.]+)", PAGE):
        home, _, last = name.replace("plots.", "analysis.plots.", name.startswith("plots.")).rpartition(".")
        if not hasattr(importlib.import_module(home), last):
            importlib.import_module(f"{home}.{last}")
    assert all(hasattr(plots, name) for name in plots.__all__)


def test_results_say_in_a_line_what_they_are() -> None:
    made = study()
    made.add("absent", [None] * 5)
    shown = repr(made.results())
    assert shown == "Results(demo: methods base, <PS> & co, absent; datasets glyphs; 10 of 15 runs complete)"
    assert isinstance(made.results(), Results)


def test_reports_show_themselves_with_names_escaped() -> None:
    report = check_claims(study().results())
    text = report._repr_html_()
    assert '<li class="better">&lt;PS&gt; &amp; co improves MAP@R over base by 5.20 points' in text
    assert text.count("<small>Careful: ") == sum(len(each.doubts) for each in report.comparisons) > 0
    assert "<PS>" not in text and "*** p" not in text.partition("<ul")[0]
