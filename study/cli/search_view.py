"""Searches on a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.labels import setting_text, value_text
from analysis.metrics import describe
from study.cli.columns import Column, print_columns

if TYPE_CHECKING:
    from rich.console import Console

    from study.plan import Plan
    from study.search import Search
    from trainables.ledger import Commit, Ledger


def print_searches(console: "Console", plan: "Plan") -> None:
    """A row per search: settings done, runs to come, the best so far; then what the confirm stage waits for."""
    console.print()
    searches = plan.searches
    metric = describe(f"val_{searches[0].cell.select_by}")
    columns = [
        Column("search", [search.cell.method for search in searches]),
        Column("cell", [setting_text(dict(search.cell.axes)) for search in searches]),
        Column("settings", [_settings(search) for search in searches], right=True),
        Column("runs left", [str(search.runs_left) for search in searches], right=True),
        Column(f"best {metric.label}", [_value(search) for search in searches], right=True),
        Column("with", [_params(search) for search in searches]),
    ]
    print_columns(console, columns)
    waiting = [search for search in searches if search.chosen is None]
    if waiting:
        replication = plan.spec.replication
        runs = len(waiting) * len(replication.seeds) * len(replication.folds)
        console.print(f"when they are over: {runs} trainings at most of the chosen settings", markup=False)


def search_states(record: Sequence[Mapping[str, Any]], ledger: "Ledger", commits: "Mapping[str, Commit]") -> list[str]:
    """A line per search of a plan's record: settings whose runs have all ended, from names alone.

    Args:
        record: `searches` of `plan.json`.
        ledger: where settings are recorded.
        commits: how finished runs ended.
    """
    from study.search.records import LedgerRecords

    lines = []
    for search in record:
        begun = LedgerRecords(ledger).begun(search["cell_id"])
        whole = len(search["seeds"]) * len(search["folds"])
        settings = [begun[number] for number in sorted(begun) if number < search["trials"]]
        done = [[commits[run["run_id"]].status for run in runs] for runs in settings if _ended(runs, commits)]
        pruned = sum("pruned" in found or ("failed" not in found and len(found) < whole) for found in done)
        title = ", ".join(filter(None, (search["method"], setting_text(search["axes"]))))
        stopped = f" ({pruned} pruned)" if pruned else ""
        lines.append(f"search of {title}: {len(done)}/{search['trials']} settings{stopped}{_chosen_text(search)}")
    return lines


def _ended(runs: Sequence[Mapping[str, Any]], commits: "Mapping[str, Commit]") -> bool:
    return all(run["run_id"] in commits for run in runs)


def _chosen_text(search: Mapping[str, Any]) -> str:
    if search["chosen"] is None:
        return ""
    setting = search["settings"][search["chosen"]]
    value = describe(f"val_{search['select_by']}").text(setting["value"])
    return f"; setting {setting['number']} chosen, {value} with {setting_text(setting['params'])}"


def _settings(search: "Search") -> str:
    """Done and planned ones; how many were stopped early, how many are different where some came again."""
    notes = [f"{search.pruned} pruned"] if search.pruned else []
    notes += [f"{search.distinct} distinct"] if search.distinct < len(search.candidates) else []
    return f"{search.done}/{search.trials}" + (f" ({', '.join(notes)})" if notes else "")


def _value(search: "Search") -> str:
    best = search.best
    value = None if best is None else search.value(best)
    return "" if value is None else describe(f"val_{search.cell.select_by}").text(value)


def _params(search: "Search") -> str:
    best = search.best
    if best is None:
        return ""
    chosen = "setting" if search.chosen is None else "chosen: setting"
    values = ", ".join(f"{key} {value_text(value)}" for key, value in best.params.items())
    return f"{chosen} {best.number}, {values}"
