"""Which parameters matter: Optuna's importances of compared parameters, and of those that were searched."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.cells import READOUT, UNTRAINED, PlannedCell, cell_samples, planned_cells
from analysis.labels import is_missing, plain_value
from analysis.loading import Results
from analysis.metrics import Metric, find_metric
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 6
"""Settings below which importances are chance."""
_SEED = 0


@dataclass(frozen=True)
class Settings:
    """What one method was tried with on one dataset.

    Attributes:
        kind: "compared" in the table, or "searched" on validation classes.
        params: of every setting.
        values: the mean over its runs, larger is better.
        space: Optuna's distributions.
    """

    study: str
    method: str
    dataset: str
    kind: str
    metric: str
    params: Sequence[Mapping[str, Any]]
    values: Sequence[float]
    space: Mapping[str, Any]


def importance(results: Results, *, metric: str | None = None) -> "pd.DataFrame":
    """Importance of every parameter that a method was tried with, from the means of its settings.

    Columns study, method, dataset, kind ("compared" or "searched"), metric, parameter, ped_anova, fanova, settings.
    Both importances sum to 1 over the parameters of a method. PED-ANOVA (Watanabe et al. 2023) says what sets the best
    tenth apart (of few settings the best five, or the better half), fANOVA (Hutter et al. 2014; seed 0) what explains
    the variance: where they disagree, trust neither.
    Settings with runs that failed or were stopped early are left out; so are methods with fewer than 6 others, or with
    one parameter.

    Args:
        metric: of compared settings, "map_at_r"; by default what epochs are selected by. Searched ones have their own.

    Raises:
        DmlStudyError: no method was tried with enough settings of two parameters.
    """
    import pandas as pd

    groups = [*_compared(results, metric), *_searched(results)]
    rows = [row for group in groups if _enough(group) for row in _rows(group)]
    if not rows:
        raise DmlStudyError(
            f"importance needs a method with {FEWEST} finished settings that differ in two parameters or more; "
            "no method of these studies has them"
        )
    return pd.DataFrame(rows)


def _enough(group: Settings) -> bool:
    return len(group.values) >= FEWEST and len(group.space) > 1 and max(group.values) > min(group.values)


def _rows(group: Settings) -> Iterator[dict[str, Any]]:
    ped, fanova = _importances(group)
    same = {key: getattr(group, key) for key in ("study", "method", "dataset", "kind", "metric")}
    for parameter in sorted(ped, key=lambda name: -ped[name]):
        shares = {"ped_anova": ped[parameter], "fanova": fanova[parameter]}
        yield {**same, "parameter": parameter, **shares, "settings": len(group.values)}


def _importances(group: Settings) -> list[dict[str, float]]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls PED-ANOVA experimental
        study = optuna.create_study(direction="maximize")
        for params, value in zip(group.params, group.values, strict=True):
            study.add_trial(
                optuna.trial.create_trial(params=dict(params), distributions=dict(group.space), value=value)
            )
        evaluators = (
            optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_top(len(group.values))),
            optuna.importance.FanovaImportanceEvaluator(seed=_SEED),
        )
        return [dict(optuna.importance.get_param_importances(study, evaluator=each)) for each in evaluators]


def _top(settings: int) -> float:
    """A tenth of the settings, but five where there are so many, for one or two would make everything equally
    important; and no more than half, which are compared with all."""
    return min(0.5, max(0.1, 5 / settings))


def _compared(results: Results, name: str | None) -> Iterator[Settings]:
    """The cells of each method and dataset, one reading of each."""
    groups: dict[tuple[str, str, str, str | None], list[PlannedCell]] = {}
    for cell in planned_cells(results):
        if cell.method != UNTRAINED:
            groups.setdefault((cell.study, cell.method, cell.dataset, cell.reading), []).append(cell)
    for (study, method, dataset, _), cells in groups.items():
        chosen = name or results.plans[study].get("protocol", {}).get("select_by", "map_at_r")
        metric = find_metric(chosen, set(results.replicates.columns))
        yield _of_cells(results, metric, cells, (study, method, dataset))


def _of_cells(results: Results, metric: Metric, cells: Sequence[PlannedCell], place: tuple[str, str, str]) -> Settings:
    samples = cell_samples(results.replicates, metric.column)
    planned = results.replicates.groupby(["study", "cell"])["seed"].nunique()
    whole = [cell for cell in cells if cell.key in samples and len(samples[cell.key].by_seed) == planned[cell.key]]
    axes = [axis for axis in results.axes if axis != READOUT and _varies(whole, axis)]
    levels = {axis: _levels([cell.axes[axis] for cell in whole]) for axis in axes}
    params = [{axis: levels[axis].index(plain_value(cell.axes[axis])) for axis in axes} for cell in whole]
    sign = 1.0 if metric.higher_is_better else -1.0
    values = [sign * samples[cell.key].mean for cell in whole]
    return Settings(*place, "compared", metric.column, params, values, {axis: _steps(levels[axis]) for axis in axes})


def _varies(cells: Sequence[PlannedCell], axis: str) -> bool:
    values = [plain_value(cell.axes[axis]) for cell in cells]
    return not any(map(is_missing, values)) and len(set(values)) > 1


def _levels(values: Sequence[Any]) -> list[Any]:
    """Numbers in their order, so that neither a linear nor a logarithmic scale is assumed."""
    distinct = list(dict.fromkeys(map(plain_value, values)))
    return sorted(distinct) if all(isinstance(value, int | float) for value in distinct) else distinct


def _steps(levels: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in levels)
    return IntDistribution(0, len(levels) - 1) if ordered else CategoricalDistribution(tuple(range(len(levels))))


def _searched(results: Results) -> Iterator[Settings]:
    """The complete settings of each search."""
    for study, plan in results.plans.items():
        for search in plan.get("searches", ()):
            metric = find_metric(f"val_{search['select_by']}", [f"val_{search['select_by']}"])
            sign = 1.0 if metric.higher_is_better else -1.0
            settings = [each for each in search["settings"] if each["state"] == "complete" and _finite(each["value"])]
            place = (study, search["method"], str(search["axes"].get("dataset", "")))
            params = [_encoded(search["space"], each["params"]) for each in settings]
            values = [sign * each["value"] for each in settings]
            space = {key: _distribution(each) for key, each in search["space"].items()}
            yield Settings(*place, "searched", metric.column, params, values, space)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _encoded(space: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
    """Choices, which may be anything, by their position."""
    return {
        key: each["values"].index(params[key]) if each["distribution"] == "choice" else params[key]
        for key, each in space.items()
    }


def _distribution(space: Mapping[str, Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if space["distribution"] == "choice":
        return CategoricalDistribution(tuple(range(len(space["values"]))))
    log, step = space["distribution"].startswith("log"), space.get("step")
    if isinstance(space["min"], int):
        return IntDistribution(space["min"], space["max"], log=log, step=step or 1)
    return FloatDistribution(space["min"], space["max"], log=log, step=step)
