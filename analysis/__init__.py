"""Reads results folders: data frames, statistics, tables, plots. Importing this loads neither pandas nor matplotlib."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis import claims, plots, ranks, tables
    from analysis.claims import ClaimReport, check_claims, render_claims
    from analysis.loading import Results, load
    from analysis.publications import published
    from analysis.publications.runs import check_published_runs, published_runs, write_published_runs
    from analysis.reports import report
    from analysis.statistics.importance import importance
    from analysis.tables import Table, comparison_table, render

_HOMES = {
    "ClaimReport": "analysis.claims",
    "check_claims": "analysis.claims",
    "render_claims": "analysis.claims",
    "importance": "analysis.statistics.importance",
    "Results": "analysis.loading",
    "load": "analysis.loading",
    "Table": "analysis.tables",
    "comparison_table": "analysis.tables",
    "render": "analysis.tables",
    "published": "analysis.publications",
    "check_published_runs": "analysis.publications.runs",
    "published_runs": "analysis.publications.runs",
    "write_published_runs": "analysis.publications.runs",
    "report": "analysis.reports",
}

__all__ = [
    "ClaimReport",
    "Results",
    "Table",
    "check_claims",
    "check_published_runs",
    "claims",
    "comparison_table",
    "importance",
    "load",
    "plots",
    "published",
    "published_runs",
    "ranks",
    "render",
    "render_claims",
    "report",
    "tables",
    "write_published_runs",
]


def __getattr__(name: str) -> Any:
    if name in ("claims", "plots", "ranks", "tables"):
        return importlib.import_module(f"analysis.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute '{name}'")
