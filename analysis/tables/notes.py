"""Footnotes: what ± is, what bold means, what is missing, and under which protocol the numbers were made."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.cells import EMPTY, UNTRAINED, CellKey, Choice, PlannedCell, Sample, valid_values
from analysis.labels import enumeration, setting_text
from analysis.loading import Results
from analysis.loading.widening import rows_of
from analysis.metrics import Metric, describe
from analysis.protocol.notes import protocol_notes
from analysis.protocol.settling import settling_note
from analysis.statistics import (
    GENEROUS_FROM,
    best_sample,
    difference_std,
    minimum_detectable_difference,
    minimum_rank_test_p,
    shared_seeds,
)
from analysis.tables.model import Cell, Table

if TYPE_CHECKING:
    import pandas as pd

Samples = Mapping[str, Mapping[CellKey, Sample]]


def footnotes(
    results: Results, table: Table, cells: Sequence[PlannedCell], samples: Samples, choice: Choice | None
) -> tuple[str, ...]:
    """Everything that a reader must know to judge the table."""
    keys = {cell.key for cell in cells}
    replicates = results.replicates
    replicates = replicates[[key in keys for key in rows_of(replicates, "study", "cell")]]
    notes = [
        _values(table, replicates),
        _deltas(table),
        _bold(table, cells, samples),
        _second(table),
        choice.note if choice else "",
        *_searched(results),
        *(settling_note(plan["settling"]) for plan in results.plans.values() if "settling" in plan),
        _on_test(table),
        _readouts(cells),
        _untrained(cells),
        _failures(replicates, cells),
        _without_value(replicates, table, cells),
        _unfinished(replicates),
        *protocol_notes(results, replicates),
        *(note for plan in results.plans.values() for note in plan.get("notes", ())),
    ]
    return tuple(note for note in notes if note)


def _values(table: Table, replicates: "pd.DataFrame") -> str:
    folds = replicates.groupby(["study", "cell", "seed"])["fold"].nunique().max()
    averaged = f"the {folds} folds of a seed are averaged first; " if folds > 1 else ""
    units = {metric.unit == "%" for metric in table.metrics}
    percent = {(True,): "in percent; ", (False, True): "(%) in percent; "}.get(tuple(sorted(units)), "")
    spread = " ± sample standard deviation (ddof = 1)" if "std" in table.shown else ""
    interval = " [95 % t-interval]" if "interval" in table.shown else ""
    counted = "n: number of seeds, those that share one run counted once" if "n" in table.shown else ""
    return f"Values: mean{spread}{interval} over seeds, {percent}{averaged}{counted}".rstrip(" ,;") + "."


def _deltas(table: Table) -> str:
    compared = [cell for row in table.rows for cell in row.cells if cell.delta]
    found = [cell.delta for cell in compared if cell.delta and isfinite(cell.delta.difference)]
    if not found:
        return ""
    points = "percentage points" if any(cell.metric.unit == "%" for cell in compared) else "the metric's unit"
    paired = any(delta.paired for delta in found)
    kind = "paired t-interval" if paired else "interval"
    interval = f" with its 95 % {kind}" if any(isfinite(delta.low) for delta in found) else ""
    unpaired = " ‡: the seeds differ, so the interval is Welch's." if any(not delta.paired for delta in found) else ""
    pairs = max(delta.n for delta in found)
    rank = minimum_rank_test_p(pairs)
    power = f" With n = {pairs} no two-sided paired rank test can go below p = {rank:g}." if rank > 0.05 else ""
    seeds = " on the same seeds" if paired else ""
    return f"Δ: difference to the method's baseline{seeds}, in {points}{interval}.{unpaired}{power}"


def _bold(table: Table, cells: Sequence[PlannedCell], samples: Samples) -> str:
    sizes = [cell.summary.n for row in table.rows for cell in row.cells if cell.bold]
    if not sizes:
        return ""
    among = " among rows of one readout" if any(row.reading for row in table.rows) else ""
    if min(sizes) >= GENEROUS_FROM:
        rule = f"Bold: the best mean{among} and all that is not significantly worse ({_test(table, samples)})."
    elif max(sizes) < GENEROUS_FROM:
        few = f"with fewer than {GENEROUS_FROM} seeds it need not be the truly best"
        rule = f"Bold: the best mean of a column{among}; {few}."
    else:
        rest = f"from {GENEROUS_FROM} seeds on all that is not significantly worse ({_test(table, samples)})"
        rule = f"Bold: the best mean{among}, and {rest}."
    alone = " A lone seed is not taken for the best." if _outdone(table) else ""
    return rule + alone + _all_detectable(table, cells, samples)


def _second(table: Table) -> str:
    return "Underlined: the second best mean." if any(cell.second for row in table.rows for cell in row.cells) else ""


def _test(table: Table, samples: Samples) -> str:
    """What tells a cell from the best."""
    contests = [rivals for rivals in _contests(table) if any(cell.bold for cell in rivals)]
    known = [[samples[cell.metric.column].get(cell.key or ("", 0), EMPTY) for cell in rivals] for rivals in contests]
    enough = [[sample for sample in rivals if sample.n >= GENEROUS_FROM] for rivals in known]
    paired = all(shared_seeds(sample, rivals[0]) is not None for rivals in enough for sample in rivals)
    return f"two-sided t-test, {'paired' if paired else 'Welch where the seeds differ'}, 5 %, uncorrected"


def _outdone(table: Table) -> bool:
    """Whether some cell is better than its bold rivals without being bold."""
    return any(map(_beaten, _contests(table)))


def _contests(table: Table) -> list[list[Cell]]:
    """Cells that are rivals."""
    found: dict[object, list[Cell]] = {}
    for cell in (cell for row in table.rows for cell in row.cells if cell.key is not None):
        found.setdefault(cell.contest, []).append(cell)
    return list(found.values())


def _beaten(rivals: Sequence[Cell]) -> bool:
    sign = 1 if rivals[0].metric.higher_is_better else -1
    bold = [sign * cell.summary.mean for cell in rivals if cell.bold]
    return bool(bold) and any(sign * cell.summary.mean > max(bold) for cell in rivals if not cell.bold)


def _all_detectable(table: Table, cells: Sequence[PlannedCell], samples: Samples) -> str:
    columns = [column for column in table.columns if column.delta] or table.columns
    shown = [cell for column in columns for cell in table.cells_of(column) if cell.dataset is not None]
    wanted = [cell for cell in shown if cell.delta] or shown
    distinct = dict.fromkeys((str(cell.dataset), cell.metric) for cell in wanted)
    texts = [_detectable(*each, cells, samples[each[1].column]) for each in distinct]
    found = enumeration(filter(None, texts))
    return f" Smallest detectable difference (paired t-test, 5 %, power 80 %): {found}." if found else ""


def _detectable(dataset: str, metric: Metric, cells: Sequence[PlannedCell], samples: Mapping[CellKey, Sample]) -> str:
    """From the pooled standard deviation of the differences to the best trained cell of the dataset."""
    by_reading: dict[str | None, list[Sample]] = {}
    for cell in (cell for cell in cells if cell.dataset == dataset and cell.method != UNTRAINED):
        by_reading.setdefault(cell.reading, []).append(samples.get(cell.key, EMPTY))
    pairs = [pair for known in by_reading.values() for pair in _to_the_best(known, metric)]
    if not pairs:
        return ""
    n = int(np.median([min(sample.n, best.n) for sample, best in pairs]))
    if n >= GENEROUS_FROM:
        return ""
    pooled = float(np.sqrt(np.mean([difference_std(sample, best) ** 2 for sample, best in pairs])))
    value = minimum_detectable_difference(pooled, n)
    unit = {"%": " points", "": ""}.get(metric.unit, f" {metric.unit}")
    return f"{dataset} {metric.label} {value:.{metric.decimals}f}{unit}"


def _to_the_best(samples: Sequence[Sample], metric: Metric) -> list[tuple[Sample, Sample]]:
    """Every sample of several seeds with the best of them, which is left out itself."""
    known = [sample for sample in samples if sample.n >= 2]
    best = best_sample(known, higher_is_better=metric.higher_is_better) if known else EMPTY
    return [(sample, best) for sample in known if sample is not best]


def _searched(results: Results) -> list[str]:
    """How hyperparameters were chosen, where a search chose them."""
    told: dict[str, dict[str, None]] = {}
    for plan in results.plans.values():
        for search in plan.get("searches", ()):
            if search["chosen"] is not None:
                told.setdefault(_search_text(search), {})[search["method"]] = None
    everything = {method["name"] for plan in results.plans.values() for method in plan["methods"]} - {UNTRAINED}
    waiting = [
        f"{search['method']} ({_progress(search)})"
        for plan in results.plans.values()
        for search in plan.get("searches", ())
        if search["chosen"] is None
    ]
    missing = [f"Not in the table: {enumeration(waiting)}."] if waiting else []
    return missing + [
        f"Hyperparameters{'' if set(methods) == everything else f' of {enumeration(methods)}'}: {text}."
        for text, methods in told.items()
    ]


def _progress(search: Mapping[str, Any]) -> str:
    """Why a search has chosen nothing yet."""
    done = sum(setting["state"] != "unfinished" for setting in search["settings"])
    if done == search["trials"]:
        return "no setting of its search could be trained"
    return f"still searched, {done} of {search['trials']} settings"


def _search_text(search: Mapping[str, Any]) -> str:
    sampler = _SAMPLERS.get(search["sampler"], search["sampler"])
    metric = describe(f"test_{search['select_by']}").label
    runs = len(search["seeds"]) * len(search["folds"])
    return (
        f"of {search['trials']} settings proposed by {sampler} {_rule(search)} by mean {metric} on validation classes "
        f"({runs} run{'s' * (runs != 1)} each{_stopping(search)}), trained anew with other seeds"
    )


def _rule(search: Mapping[str, Any]) -> str:
    """Which setting is chosen; the tolerance in the metric's own unit."""
    if not search.get("tolerance"):
        return "the best"
    cost = describe(search["cost"]).label.lower()
    return f"the one of least {cost} among those at most {search['tolerance']:g} worse than the best"


def _stopping(search: Mapping[str, Any]) -> str:
    """A plan of an older version does not say whether runs stop."""
    scheduler = search.get("scheduler", "none")
    if isinstance(scheduler, dict):
        scheduler = f"Ray Tune's {scheduler['ray']}, which depends on timing"
    text = "" if scheduler == "none" else f", poor ones stopped early by {scheduler}"
    return f"{text}, fewer of clearly worse ones" if search.get("prune_replicates") else text


_SAMPLERS = {"tpe": "TPE", "gp": "a Gaussian process", "random": "chance", "qmc": "a Sobol sequence", "cmaes": "CMA-ES"}


def _on_test(table: Table) -> str:
    if not any(metric.selected_on_test for metric in table.metrics):
        return ""
    return (
        "† Selected on test: the best epoch on the test classes, as some papers report it; optimistic, and not "
        "comparable with epochs selected on validation classes."
    )


def _untrained(cells: Sequence[PlannedCell]) -> str:
    if not any(cell.method == UNTRAINED for cell in cells):
        return ""
    return f"{UNTRAINED}: pooled features of the backbone as it comes, without training."


def _readouts(cells: Sequence[PlannedCell]) -> str:
    """What each reading of the fold models is."""
    readings = list(dict.fromkeys(cell.reading for cell in cells if cell.reading))
    texts = [f"{reading}: {_READINGS[reading.partition('_')[0]]}" for reading in readings]
    return f"Readout of the models of a seed's folds: {'; '.join(texts)}." if texts else ""


_READINGS = {
    "mean": "their metrics, averaged",
    "concat": "metrics of their embeddings side by side, each model's at the length that the distance gives it",
}


def _failures(replicates: "pd.DataFrame", cells: Sequence[PlannedCell]) -> str:
    parts = _per_cell(replicates, replicates["status"] == "failed", cells)
    pruned = _per_cell(replicates, replicates["status"] == "pruned", cells)
    texts = [f"Failed runs, left out: {enumeration(parts)}."] if parts else []
    texts += [f"Runs stopped early, left out: {enumeration(pruned)}."] if pruned else []
    return " ".join(texts)


def _without_value(replicates: "pd.DataFrame", table: Table, cells: Sequence[PlannedCell]) -> str:
    texts = []
    for metric in table.metrics:
        absent = (replicates["status"] == "complete") & valid_values(replicates, metric.column).isna()
        parts = list(_per_cell(replicates, absent, cells))
        texts += [f"{metric.label}: {enumeration(parts, limit=4)}"] if parts else []
    return f"Complete runs without a finite value, left out: {'. '.join(texts)}." if texts else ""


def _per_cell(replicates: "pd.DataFrame", affected: "pd.Series[bool]", cells: Sequence[PlannedCell]) -> list[str]:
    """ "norm-softmax + PS (glyphs, ratio 0.5) 1 of 3" for every cell with affected runs."""
    marked = replicates.assign(affected=affected)
    if not marked["affected"].any():
        return []
    runs = marked.drop_duplicates(["study", "cell", "run_id"])
    counts = runs.groupby(["study", "cell"])["affected"].agg(["sum", "size"])
    return list(_count_texts(counts[counts["sum"] > 0], cells))


def _count_texts(counts: "pd.DataFrame", cells: Sequence[PlannedCell]) -> Iterator[str]:
    by_key = {cell.key: cell for cell in cells}
    for key, affected, planned in counts.itertuples(name=None):
        cell = by_key[key]
        place = ", ".join(filter(None, [cell.dataset, setting_text(dict(cell.axes))]))
        yield f"{cell.label} ({place}) {affected} of {planned}"


def _unfinished(replicates: "pd.DataFrame") -> str:
    runs = replicates.drop_duplicates(["study", "run_id"])
    missing = int((runs["status"] == "missing").sum())
    if not missing:
        return ""
    return f"Not finished yet: {missing} of {len(runs)} runs; their cells have fewer seeds or are empty."
