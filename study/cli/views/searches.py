"""Searches on a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.labels import setting_text, value_text
from analysis.metrics import Metric, describe
from study.cli.views.columns import Column, print_columns

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
    if any(search.front for search in searches):
        _print_fronts(console, searches)
    waiting = [search for search in searches if search.chosen is None]
    if waiting:
        replication = plan.spec.replication
        runs = len(waiting) * len(replication.seeds) * len(replication.folds)
        console.print(f"when they are over: {runs} trainings at most of the chosen settings", markup=False)


def _print_fronts(console: "Console", searches: Sequence["Search"]) -> None:
    """A row per setting that no other one of its search beats in both objectives."""
    rows = [(search, search.record(), each.number) for search in searches for each in search.front]
    settings = [(record, record["settings"][number]) for _, record, number in rows]
    metric, cost = _metric(rows[0][1]), describe(rows[0][1]["cost"])
    columns = [
        Column("trade-offs of", [search.cell.method for search, _, _ in rows]),
        Column("cell", [setting_text(dict(search.cell.axes)) for search, _, _ in rows]),
        Column("setting", [str(number) for _, _, number in rows], right=True),
        Column(metric.label, [_value_text(*each) for each in settings], right=True),
        Column(cost.label.lower(), [_cost_text(*each) for each in settings], right=True),
        Column("with", [_params_text(setting["params"]) for _, setting in settings]),
    ]
    console.print()
    print_columns(console, columns)


def search_states(record: Sequence[Mapping[str, Any]], ledger: "Ledger", commits: "Mapping[str, Commit]") -> list[str]:
    """A line per search of a plan's record: settings whose runs have all ended, from names alone. Then its
    trade-offs, where it has a cost, as they stood when the plan was written.

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
        lines += [f"  trade-off: {_setting_text(search, number)}" for number in search.get("front", ())]
    return lines


def _ended(runs: Sequence[Mapping[str, Any]], commits: "Mapping[str, Commit]") -> bool:
    return all(run["run_id"] in commits for run in runs)


def _chosen_text(search: Mapping[str, Any]) -> str:
    if search["chosen"] is None:
        return ""
    setting = search["settings"][search["chosen"]]
    value = _value_text(search, setting) + (f" at {_cost_text(search, setting)}" if "cost" in search else "")
    return f"; setting {setting['number']} chosen, {value} with {setting_text(setting['params'])}"


def _setting_text(search: Mapping[str, Any], number: int) -> str:
    setting = search["settings"][number]
    cost = f"{describe(search['cost']).label.lower()} {_cost_text(search, setting)}"
    return f"setting {number}, {_value_text(search, setting)}, {cost}, {setting_text(setting['params'])}"


def _metric(search: Mapping[str, Any]) -> Metric:
    return describe(f"val_{search['select_by']}")


def _value_text(search: Mapping[str, Any], setting: Mapping[str, Any]) -> str:
    return _metric(search).text(setting["value"])


def _cost_text(search: Mapping[str, Any], setting: Mapping[str, Any]) -> str:
    cost = describe(search["cost"])
    return cost.text(setting["cost"]) if cost.unit else f"{setting['cost']:g}"


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
    return f"{chosen} {best.number}, {_params_text(best.params)}"


def _params_text(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value_text(value)}" for key, value in params.items())
