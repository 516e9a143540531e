"""The settings that a search or a comparison tried, with what each of them reached."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from analysis.cells import EMPTY, READOUT, CellKey, PlannedCell, cell_samples, planned_cells
from analysis.labels import value_text
from analysis.loading import Results
from analysis.metrics import Metric, describe, find_metric
from analysis.plots.shared.scales import scale_for
from analysis.plots.shared.selection import is_numeric
from trainables.errors import DmlStudyError

NAN = float("nan")
Origin = Literal["search", "comparison"]


@dataclass(frozen=True)
class Dimension:
    """One varied parameter.

    Attributes:
        log: whether its space is logarithmic.
        numbers: those that were compared, in order; empty where a range was searched.
        choices: its values in order where they are no numbers; empty for numbers.
    """

    key: str
    low: float = NAN
    high: float = NAN
    log: bool = False
    numbers: tuple[float, ...] = ()
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Setting:
    """Values of all parameters.

    Attributes:
        value: mean over its runs in the unit of the metric; NaN unless the state is "complete".
        state: "complete", "pruned", "failed", or "unfinished".
    """

    number: int
    params: Mapping[str, Any]
    value: float
    state: str


@dataclass(frozen=True)
class Tried:
    """All settings of one search, or of one method on one dataset.

    Attributes:
        chosen: number of the setting that the search ended with.
        runs: (study, run) of all settings, for the protocol.
    """

    method: str
    title: str
    origin: Origin
    metric: Metric
    dimensions: tuple[Dimension, ...]
    settings: tuple[Setting, ...]
    runs: frozenset[tuple[str, str]]
    chosen: int | None = None

    @property
    def complete(self) -> list[Setting]:
        return [setting for setting in self.settings if setting.state == "complete"]

    @property
    def best(self) -> Setting | None:
        """The complete setting with the best mean."""
        return max(self.complete, key=lambda setting: self.sign * setting.value, default=None)

    @property
    def sign(self) -> float:
        return 1.0 if self.metric.higher_is_better else -1.0


def tried_settings(
    results: Results, *, metric: str = "map_at_r", methods: Sequence[str] | None = None, origin: Origin | None = None
) -> list[Tried]:
    """Every search, and every method with several settings of compared parameters on one dataset.

    Args:
        results: one or several studies, finished or not.
        metric: of searches the validation classes' mean, of comparisons the test classes'; or a column by its name.
        methods: by default all.
        origin: searches or comparisons alone.

    Raises:
        DmlStudyError: nothing of the kind was tried, or the metric was not recorded.
    """
    found: list[Tried] = []
    if origin != "comparison":
        found += searches(results, metric)
    if origin != "search":
        found += comparisons(results, metric)
    wanted = [tried for tried in found if methods is None or tried.method in methods]
    if not wanted:
        of = f" of {', '.join(methods)}" if methods is not None and found else ""
        kinds = {"search": "search", "comparison": "method with several settings"}
        missing = " and no ".join(text for key, text in kinds.items() if origin in (None, key))
        raise DmlStudyError(f"the results have no {missing}{of}")
    return wanted


def searches(results: Results, metric: str) -> list[Tried]:
    """Those on record in the plans, by the mean validation metric of each setting's runs."""
    records = [(study, each) for study, plan in results.plans.items() for each in plan.get("searches", ())]
    datasets = {record["axes"].get("dataset") for _, record in records}
    left_out = {"dataset"} if len(datasets) == 1 else set()
    found = []
    for study, record in records:
        axes = {key: value for key, value in record["axes"].items() if key not in left_out}
        title = _title(record["method"], axes, [study] if len(results.plans) > 1 else [])
        found.append(_search(results, study, record, metric, title))
    return found


def _search(results: Results, study: str, record: Mapping[str, Any], metric: str, title: str) -> Tried:
    own = describe(f"val_{record['select_by']}")
    found = (
        own
        if metric in (record["select_by"], own.column)
        else find_metric(metric, set(results.runs.columns), prefix="val_")
    )
    stored = {} if found == own else dict(_by_run(results, study, found.column))
    settings = tuple(_setting(setting, found, stored) for setting in record["settings"])
    runs = frozenset((study, run["run_id"]) for setting in record["settings"] for run in setting["runs"])
    dimensions = tuple(_searched(key, space) for key, space in record["space"].items())
    return Tried(record["method"], title, "search", found, dimensions, settings, runs, record.get("chosen"))


def _by_run(results: Results, study: str, column: str) -> Any:
    runs = results.runs[results.runs["study"] == study]
    return zip(runs["run_id"], runs[column].astype(float), strict=True)


def _setting(record: Mapping[str, Any], metric: Metric, stored: Mapping[str, float]) -> Setting:
    value = record["value"]
    if stored and value is not None:
        value = fmean(stored.get(run["run_id"], NAN) for run in record["runs"])
    number = NAN if value is None else float(value) * metric.factor
    state = record["state"] if math.isfinite(number) or record["state"] != "complete" else "failed"
    return Setting(record["number"], record["params"], number, state)


def _searched(key: str, space: Mapping[str, Any]) -> Dimension:
    if space["distribution"] == "choice":
        return _listed(key, tuple(space["values"]))
    return Dimension(key, float(space["min"]), float(space["max"]), space["distribution"].startswith("log"))


def _listed(key: str, values: Sequence[Any]) -> Dimension:
    """A list of numbers is a range."""
    if not is_numeric(values) or None in values:
        return Dimension(key, choices=tuple(values))
    ordered = sorted(float(value) for value in values)
    return Dimension(key, ordered[0], ordered[-1], scale_for(ordered) == "log", tuple(ordered))


def comparisons(results: Results, metric: str) -> list[Tried]:
    """Per study, method and dataset the cells that differ in compared parameters, where there are several."""
    groups: dict[tuple[str, ...], list[PlannedCell]] = {}
    for cell in planned_cells(results):
        groups.setdefault((cell.study, cell.method, cell.dataset, cell.reading or ""), []).append(cell)
    groups = {key: cells for key, cells in groups.items() if len(cells) > 1}
    if not groups:
        return []
    found = find_metric(metric, set(results.replicates.columns))
    samples = cell_samples(results.replicates, found.column, factor=found.factor)
    several = len({key[2] for key in groups}) > 1, len(results.plans) > 1
    runs = _runs_of_cells(results)
    return [_comparison(key, cells, found, samples, runs, several) for key, cells in groups.items()]


def _runs_of_cells(results: Results) -> dict[CellKey, list[str]]:
    rows = results.replicates[["study", "cell", "run_id"]]
    runs: dict[CellKey, list[str]] = {}
    for study, cell, run_id in rows.itertuples(index=False):
        runs.setdefault((study, int(cell)), []).append(run_id)
    return runs


def _comparison(
    key: tuple[str, ...],
    cells: Sequence[PlannedCell],
    metric: Metric,
    samples: Mapping[CellKey, Any],
    runs: Mapping[CellKey, Sequence[str]],
    several: tuple[bool, bool],
) -> Tried:
    study, method, dataset, reading = key
    axes = [axis for axis in cells[0].axes if axis != READOUT and len({str(cell.axes[axis]) for cell in cells}) > 1]
    dimensions = tuple(_listed(axis, _distinct(cells, axis)) for axis in axes)
    settings = []
    for number, cell in enumerate(cells):
        sample = samples.get(cell.key, EMPTY)
        state = "complete" if sample.n else "unfinished"
        settings.append(Setting(number, {axis: cell.axes[axis] for axis in axes}, sample.mean, state))
    known = {"dataset": dataset} if several[0] else {}
    title = _title(method, known, [*([study] if several[1] else []), *([reading] if reading else [])])
    used = frozenset((study, run) for cell in cells for run in runs[cell.key])
    return Tried(method, title, "comparison", metric, dimensions, tuple(settings), used)


def _distinct(cells: Sequence[PlannedCell], axis: str) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(cell.axes[axis] for cell in cells))


def _title(method: str, axes: Mapping[str, Any], more: Sequence[str]) -> str:
    return ", ".join([method, *map(value_text, axes.values()), *more])
