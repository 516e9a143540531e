"""The section of runs that failed: what was said last, the whole error, and how to look into it."""

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.cells import planned_cells
from analysis.labels import setting_text, value_text
from analysis.loading import Results, Source
from analysis.reports.markup import command, escaped, fold, plain, section, tag, text
from analysis.reports.model import About
from analysis.reports.shell import names_of

_OPEN = 20
"""More failures than these are folded away together."""


def failures(results: Results, about: About) -> str:
    """The section; nothing where no run of the plans failed."""
    titles = _titles(results)
    runs = results.runs
    failed = runs[runs["status"] == "failed"]
    rows = [row for row in failed.to_dict("records") if (row["study"], row["run_id"]) in titles]
    sources = {source.study: source for source in results.sources}
    shown = [_run(row, titles[row["study"], row["run_id"]], sources[row["study"]], about) for row in rows]
    if len(shown) > _OPEN:
        rest = fold("failures", f"{len(shown) - _OPEN} more failed runs", "\n".join(shown[_OPEN:]))
        shown = [*shown[:_OPEN], rest]
    return section("failures", f"Failures ({len(rows)})", *shown)


def _titles(results: Results) -> dict[tuple[str, str], str]:
    """Runs of the plans, those of searches included, and what they are."""
    found = {key: title for source in results.sources for key, title in _searched(source)}
    cells = {cell.key: cell for cell in planned_cells(results)}
    rows = results.replicates[["study", "cell", "run_id", "seed", "fold"]]
    several = rows["fold"].nunique() > 1
    for study, index, run_id, seed, fold_ in rows.itertuples(index=False):
        cell = cells[study, int(index)]
        setting = setting_text(dict(cell.axes))
        folds = f"fold {value_text(fold_)}" if several and value_text(fold_) else ""
        parts = [cell.label, cell.dataset, setting, f"seed {seed}", folds]
        found.setdefault((study, run_id), ", ".join(filter(None, parts)))
    return found


def _searched(source: Source) -> Iterator[tuple[tuple[str, str], str]]:
    for search in source.plan.get("searches", ()):
        for setting in search["settings"]:
            title = f"{search['method']}, {setting_text(search['axes'])}, setting {setting['number']} of the search"
            for run in setting.get("runs", ()):
                run_id = run if isinstance(run, str) else run["run_id"]
                yield (source.study, run_id), title


def _run(row: Mapping[Any, Any], title: str, source: Source, about: About) -> str:
    error = plain(row["error"]).strip() if isinstance(row["error"], str) else ""
    last = (error.splitlines() or ["no error was recorded"])[-1]
    names = names_of(source, about)
    head = text("h3", title) + tag("p", f"<code>{escaped(row['run_id'])}</code> " + text("strong", last))
    whole = fold(f"error-{row['run_id']}", "Whole error", text("pre", error)) if "\n" in error else ""
    lines = "\n".join(f"dml-study {name} {row['run_id'][:8]} --results {names.folder}" for name in ("debug", "logs"))
    return tag("article", head + whole + command(lines), class_="failure")
