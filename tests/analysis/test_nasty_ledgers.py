"""Every table, comparison and figure of every nasty ledger: a reason or something readable, never something wrong."""

import re
import warnings
from collections.abc import Iterator
from functools import cache

import pytest
from figure_checks import assert_nothing_overlaps, texts_in
from nasty_ledgers import NASTY
from rich.console import Console

from analysis import check_claims, comparison_table, render
from analysis.claims import render_claims
from analysis.loading import Results
from analysis.plots import PLOTS, PlotOptions
from analysis.tables import terminal
from analysis.tables.formats.rendering import FORMATS
from trainables.errors import DmlStudyError

NO_RESULT = re.compile(r"(?<![\w-])[-−+±]?(nan|inf|none|nat)(?![\w-])", re.IGNORECASE)
QUICK = ("missing cells", "NaN")
ALL = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NASTY]


@pytest.fixture(autouse=True)
def _no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@cache
def results(name: str) -> Results:
    return NASTY[name]().results()


@pytest.mark.parametrize("name", ALL)
def test_tables(name: str) -> None:
    shown = ["std", "interval", "n", "delta"]
    for arranged in ({}, {"columns": ["method", "metric"]}, {"best": "val_map_at_r", "rows": ["dataset", "method"]}):
        table = comparison_table(results(name), show=shown, mark="second", **arranged)
        for format_ in FORMATS:
            assert not NO_RESULT.search(_body(render(table, format_))), format_
        console = Console(width=120, record=True, quiet=True)
        console.print(terminal(table))
        assert not NO_RESULT.search(_body(console.export_text()))


def _body(text: str) -> str:
    """Without what is no number: styles of HTML documents, and words of sentences and formats."""
    text = re.sub(r"<style>.*?</style>|@page.*?\}|none,? *$", "", text, flags=re.DOTALL)
    return re.sub(r"(border|decoration|stroke|align|mark)[\w-]*: ?none", "", text)


@pytest.mark.parametrize("name", ALL)
def test_comparisons(name: str) -> None:
    report = check_claims(results(name))
    for format_ in ("markdown", "csv", "json"):
        text = render_claims(report, format_)
        assert not re.search(r"(?<![\w-])[-−+]?(nan|inf(inity)?)(?![\w-])", text, re.IGNORECASE), format_
    assert all(each.sentence.endswith(".") for each in report.comparisons)


@pytest.mark.parametrize("kind", PLOTS)
@pytest.mark.parametrize("name", ALL)
def test_figures(name: str, kind: str) -> None:
    try:
        drawn = PLOTS[kind].draw(results(name), PlotOptions())
    except DmlStudyError as reason:
        assert len(str(reason)) > 20
        return
    for figure in drawn if isinstance(drawn, list) else [drawn]:
        assert not [text for text in texts_in(figure) if NO_RESULT.search(text)]
        assert_nothing_overlaps(figure)
