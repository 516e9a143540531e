"""A study as Optuna would have seen it: settings as trials, each worth the mean of its runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from analysis.cells import UNTRAINED
from analysis.labels import plain_value, setting_text
from study.bridges.outcomes import Outcomes, State
from study.bridges.targets import distinct
from study.search.records import LedgerRecords
from study.spec.tune import DISTRIBUTIONS, Choice, Distribution
from trainables.ledger import Ledger
from trainables.metrics import lower_is_better

Row = Mapping[str, Any]

_TOLD = (
    *("method", "axes", "cell_id", "sampler", "scheduler", "prune_replicates", "cost", "tolerance"),
    *("seeds", "folds", "select_by", "chosen", "front"),
)
"""What of a search's record stands with its study."""


@dataclass(frozen=True)
class Trial:
    """One setting.

    Attributes:
        value: mean over its runs; None where one failed, was stopped, or is not finished. A setting that was worse
            before all its replicates were trained is pruned and has the mean of those.
        cost: mean cost of its runs where the search has one; infinite where it is not known.
        curve: epoch -> mean over its runs, at epochs that all of them evaluated.
        started, ended: first start and last end of its runs; None where none has ended.
        notes: JSON values.
    """

    params: Mapping[str, Any]
    state: State
    value: float | None
    cost: float | None
    curve: Mapping[int, float]
    started: datetime | None
    ended: datetime | None
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class TrialStudy:
    """Settings that one choice is made among.

    Attributes:
        metric: column that values are of.
        cost: column of the second objective, which is minimized; None where there is none.
        space: what stands behind the parameters.
        notes: JSON values.
    """

    name: str
    metric: str
    cost: str | None
    space: Mapping[str, Distribution]
    trials: Sequence[Trial]
    notes: Mapping[str, Any]

    @property
    def minimized(self) -> bool:
        return lower_is_better(self.metric.removeprefix("val_").removeprefix("test_"))


def trial_studies(ledger: Ledger) -> list[TrialStudy]:
    """One for each search, and for methods without one, one for each of their datasets, over the compared settings.

    Values are of validation classes: what is shown to be chosen from is not chosen on test classes. Only where the
    protocol has no validation, they are the test metric. Untrained networks have no settings and are left out.
    """
    plan = ledger.read_plan()
    maker = _Maker(ledger, plan)
    searched = {search["method"] for search in plan.get("searches", ())}
    groups: dict[tuple[str, str], list[int]] = {}
    for index, cell in enumerate(plan["cells"]):
        if cell["method"] not in (*searched, UNTRAINED):
            groups.setdefault((cell["method"], str(cell["axes"]["dataset"])), []).append(index)
    compared = [maker.of_cells(method, dataset, cells) for (method, dataset), cells in groups.items()]
    found = [maker.of_search(search) for search in plan.get("searches", ())] + compared
    names = distinct(each.name for each in found)
    return [replace(each, name=name) for each, name in zip(found, names, strict=True)]


class _Maker:
    def __init__(self, ledger: Ledger, plan: Mapping[str, Any]) -> None:
        self.plan, self.study = plan, str(plan["study"])
        self.records, self.outcomes = LedgerRecords(ledger), Outcomes(ledger, plan)

    def of_search(self, search: Row) -> TrialStudy:
        """Settings in number order: a trial's number is the setting's."""
        metric = f"val_{search['select_by']}"
        recorded, begun = self.records.load(search["cell_id"]), self.records.begun(search["cell_id"])
        count = next(number for number in range(len(recorded) + 1) if number not in recorded)
        numbers = range(min(count, search["trials"]))
        trials = [self._setting(search, number, recorded[number], begun[number], metric) for number in numbers]
        space = {key: DISTRIBUTIONS[each["distribution"]](**each) for key, each in search["space"].items()}
        return TrialStudy(
            self._name(search["method"], search["axes"]),
            metric,
            search.get("cost"),
            _plain(space),
            trials,
            {key: search[key] for key in _TOLD if key in search},
        )

    def _setting(self, search: Row, number: int, record: Row, begun: Sequence[Row], metric: str) -> Trial:
        known: Row = next((each for each in search["settings"] if each["number"] == number), {})
        notes: dict[str, Any] = {"setting": number}
        if error := known.get("error"):
            notes["error"] = error
        if number == search["chosen"]:
            notes |= {"chosen": True, **self._confirmed(search)}
        if skipped := len(record["runs"]) - len(begun):
            notes["skipped replicates"] = skipped
        trial = self._trial(record["params"], begun, metric, notes, cost=search.get("cost"))
        if trial.state == "complete" and skipped:
            return replace(trial, state="pruned")
        # The cutoffs of this search may have ended a run that another search trained on; the plan knows.
        stopped = trial.state == "complete" and known.get("state") == "pruned"
        return replace(trial, state="pruned", value=None) if stopped else trial

    def _confirmed(self, search: Row) -> dict[str, Any]:
        """What the cell of the chosen setting came to, with new seeds on test classes."""
        axes = search["axes"].items()
        cells = enumerate(self.plan["cells"])
        found = [index for index, cell in cells if cell["method"] == search["method"] and axes <= cell["axes"].items()]
        notes: dict[str, Any] = {}
        for index in found:
            own = {key: value for key, value in self.plan["cells"][index]["axes"].items() if key not in search["axes"]}
            prefix = " ".join(filter(None, ("confirm", setting_text(own)))) + " "
            runs = [replicate["run_id"] for replicate in self.plan["cells"][index]["replicates"]]
            notes |= {f"{prefix}{key}": value for key, value in self.outcomes.of_cell(index).items()}
            notes[f"{prefix}run_ids"] = runs
        return notes

    def of_cells(self, method: str, dataset: str, cells: Sequence[int]) -> TrialStudy:
        metric = self.outcomes.metric
        axes = [dict(self.plan["cells"][index]["axes"]) for index in cells]
        params = [{key: plain_value(value) for key, value in each.items() if key != "dataset"} for each in axes]
        trials = [self._cell(index, each, metric) for index, each in zip(cells, params, strict=True)]
        keys = dict.fromkeys(key for each in params for key in each)
        space: dict[str, Distribution] = {key: _choice(each[key] for each in params if key in each) for key in keys}
        notes = {"method": method, "dataset": dataset, "select_by": self.plan["protocol"].get("select_by")}
        return TrialStudy(self._name(method, {"dataset": dataset}), metric, None, space, trials, notes)

    def _cell(self, index: int, params: Mapping[str, Any], metric: str) -> Trial:
        notes = {"cell": index, **self.outcomes.of_cell(index)}
        return self._trial(params, self.plan["cells"][index]["replicates"], metric, notes)

    def _trial(self, params: Row, runs: Sequence[Row], metric: str, notes: Row, *, cost: str | None = None) -> Trial:
        ids = [run["run_id"] for run in runs]
        values = self.outcomes.values(ids, metric)
        state = self.outcomes.state(ids, metric)
        found = [{"run_id": run["run_id"], "seed": run["seed"], "fold": run["fold"]} for run in runs]
        told = [{**each, **self.outcomes.told(each["run_id"], metric)} for each in found]
        return Trial(
            {key: plain_value(value) for key, value in params.items()},
            state,
            math.fsum(values) / len(values) if state == "complete" else None,
            self.outcomes.cost(ids, cost) if cost and state == "complete" else None,
            self.outcomes.curve(ids, metric),
            *self.outcomes.span(ids),
            {**notes, "runs": told},
        )

    def _name(self, method: str, axes: Mapping[str, Any]) -> str:
        return "/".join(filter(None, (self.study, method, setting_text(dict(axes)))))


def _choice(values: Iterable[Any]) -> Choice:
    return Choice(distribution="choice", values=list(dict.fromkeys(values)))


def _plain(space: Mapping[str, Distribution]) -> dict[str, Distribution]:
    """Choices that are lists or mappings as text."""
    return {
        key: _choice(map(plain_value, each.values)) if isinstance(each, Choice) else each for key, each in space.items()
    }
