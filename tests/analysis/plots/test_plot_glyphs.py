"""Names in scripts that no installed font has: drawn, and told in one line."""

import logging
import warnings
from pathlib import Path

import pytest

from analysis.plots import save
from analysis.plots.shared import glyphs
from analysis.plots.shared.style import new_figure, style

UNKNOWN = "\u0378"
"""A code point that Unicode leaves unassigned: no font has it."""


def test_missing_characters_are_named_once_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    glyphs._told.clear()
    with style():
        figure, body = new_figure(2, 1, foot=[f"seen twice {UNKNOWN}"])
        body.text(0.5, 0.5, f"method {UNKNOWN}{UNKNOWN}")
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        save(figure, tmp_path / "figure")
        save(figure, tmp_path / "again.png")
    (record,) = caplog.records
    assert f"no installed font has {UNKNOWN};" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert {file.name for file in tmp_path.iterdir()} == {"figure.pdf", "figure.png", "again.png"}


def test_other_warnings_are_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.warns(RuntimeWarning, match="^something else$"), glyphs.missing_glyphs_told():
        warnings.warn("something else", RuntimeWarning, stacklevel=1)
    assert caplog.records == []
