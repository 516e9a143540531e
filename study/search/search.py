"""One search: its settings in number order, which of them are finished, what is proposed next, which one is best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from study.search.cell import SearchCell
from study.search.records import Records
from study.search.sampling import suggest
from study.search.space import Params
from trainables.errors import ConfigError, LedgerError
from trainables.metrics import sign

if TYPE_CHECKING:
    from study.plan.plan import PlannedRun

Values = Callable[[str, str], float | None]
"""(run id, validation metric) -> value; NaN of a run that failed, None of one that is not finished."""

State = Literal["unfinished", "complete", "failed"]


@dataclass(frozen=True)
class Candidate:
    """One setting of a search.

    Attributes:
        runs: its trainings, seeds first; none where its values cannot stand together.
        error: why they cannot.
    """

    number: int
    params: Params
    runs: "tuple[PlannedRun, ...]" = field(repr=False)
    error: str = ""

    def record(self) -> dict[str, Any]:
        """The setting as JSON values."""
        runs = [{"seed": run.seed, "fold": run.fold, "run_id": run.run_id} for run in self.runs]
        return {"number": self.number, "params": dict(self.params), "runs": runs}


class Search:
    """The settings of one cell. What is recorded counts; `propose` goes on from there, under the search protocol.

    Setting n waits until the settings 0 to n - window are finished and learns from those alone, in number order; the
    settings in between count as running, finished or not. So every order of finishing gives the same settings.
    """

    def __init__(self, cell: SearchCell, *, records: Records, values: Values) -> None:
        """Takes up what is recorded, up to the number of trials.

        Args:
            records: where settings are kept.
            values: how runs ended.
        """
        self.cell = cell
        self.candidates: list[Candidate] = []
        self._records, self._values = records, values
        self._scores: dict[int, float] = {}
        recorded = records.load(cell.cell_id)
        while len(self.candidates) < min(self.trials, len(recorded)) and len(self.candidates) in recorded:
            number = len(self.candidates)
            self.candidates.append(self._candidate(self._checked(number, recorded[number])))
        self._recorded = {number: record for number, record in recorded.items() if number >= len(self.candidates)}

    @property
    def trials(self) -> int:
        return self.cell.stage.trials

    def propose(self) -> list[Candidate]:
        """Records and returns the settings that may start by now and have not been proposed before."""
        new = []
        while len(self.candidates) < self.trials and self._leading() > len(self.candidates) - self.cell.stage.window:
            number = len(self.candidates)
            record = self._recorded.get(number)
            candidate = self._candidate(self._suggestion(number) if record is None else self._checked(number, record))
            if record is None:
                self._records.put(self.cell.cell_id, number, self._record(candidate))
            self.candidates.append(candidate)
            new.append(candidate)
        return new

    def finished(self, candidate: Candidate) -> bool:
        """Whether all runs of a setting have ended, well or not."""
        return self.score(candidate) is not None

    def score(self, candidate: Candidate) -> float | None:
        """The mean over a setting's runs, larger is better; NaN where one failed, None where one is missing."""
        known = self._scores.get(candidate.number)
        if known is None:
            known = _mean([self._values(run.run_id, self.cell.select_by) for run in candidate.runs])
            if known is None:
                return None
            known = self._scores[candidate.number] = sign(self.cell.select_by) * known
        return known

    def value(self, candidate: Candidate) -> float | None:
        """The mean validation metric of a setting; None where it failed or is not finished."""
        score = self.score(candidate)
        return None if score is None or math.isnan(score) else sign(self.cell.select_by) * score

    def state(self, candidate: Candidate) -> State:
        if not self.finished(candidate):
            return "unfinished"
        return "failed" if self.value(candidate) is None else "complete"

    @property
    def done(self) -> int:
        """Number of settings that are finished."""
        return sum(self.finished(candidate) for candidate in self.candidates)

    @property
    def over(self) -> bool:
        """Whether all trials are finished."""
        return self.done == self.trials

    @property
    def best(self) -> Candidate | None:
        """The best setting so far, the smallest number of equals; None as long as none has a value."""
        scored = [(self.score(candidate), candidate) for candidate in self.candidates]
        valued = [(score, candidate) for score, candidate in scored if score is not None and not math.isnan(score)]
        return max(valued, key=lambda pair: pair[0])[1] if valued else None

    @property
    def chosen(self) -> Candidate | None:
        """The setting that the confirm stage trains; None until the search is over, or where all settings failed."""
        return self.best if self.over else None

    @property
    def distinct(self) -> int:
        """Number of different settings among those proposed; equal ones are the same runs."""
        return len(
            {tuple(sorted((key, repr(value)) for key, value in each.params.items())) for each in self.candidates}
        )

    def open_runs(self, candidate: Candidate) -> "list[PlannedRun]":
        """Runs of a setting that have not ended."""
        return [run for run in candidate.runs if self._values(run.run_id, self.cell.select_by) is None]

    @property
    def runs_left(self) -> int:
        """Trainings to come, at most: equal settings need none."""
        known = {run.run_id for candidate in self.candidates for run in self.open_runs(candidate)}
        return len(known) + (self.trials - len(self.candidates)) * self.cell.runs_per_setting

    def differences(self) -> list[str]:
        """Recorded settings that this program would propose differently today; the recorded ones stay.

        Gaussian processes take long, so only unfinished settings of theirs are looked at.
        """
        checked = [each for each in self.candidates if self.cell.stage.sampler != "gp" or not self.finished(each)]
        texts = []
        for candidate in checked:
            if self._leading() > candidate.number - self.cell.stage.window:
                today = self._suggestion(candidate.number)
                if today != dict(candidate.params):
                    texts.append(_difference(self.cell.title, candidate, today))
        return texts

    def summary(self) -> dict[str, Any]:
        """What is searched, as JSON values."""
        cell, stage = self.cell, self.cell.stage
        return {
            "method": cell.method,
            "axes": dict(cell.axes),
            "cell_id": cell.cell_id,
            "space": cell.space.record(),
            "sampler": stage.sampler,
            "trials": stage.trials,
            "window": stage.window,
            "seeds": list(stage.seeds),
            "folds": list(cell.folds),
            "select_by": cell.select_by,
        }

    def record(self) -> dict[str, Any]:
        """The search with its settings, as `plan.json` has it."""
        settings = [self._setting_record(candidate) for candidate in self.candidates]
        return {**self.summary(), "settings": settings, "chosen": None if self.chosen is None else self.chosen.number}

    def _setting_record(self, candidate: Candidate) -> dict[str, Any]:
        value = {"value": self.value(candidate), "state": self.state(candidate)}
        return {**candidate.record(), **value, **({"error": candidate.error} if candidate.error else {})}

    def _record(self, candidate: Candidate) -> dict[str, Any]:
        return {**candidate.record(), "sampler": self.cell.stage.sampler, "optuna": _optuna_version()}

    def _checked(self, number: int, record: Mapping[str, Any]) -> Params:
        """
        Raises:
            LedgerError: the setting on record is none of this space.
        """
        params: Params = record["params"]
        if not self.cell.space.holds(params):
            raise LedgerError(
                f"search/{self.cell.cell_id}/{number}.json has the values {dict(params)}, which are no setting of "
                f"{', '.join(self.cell.space.keys)}; restore it, or delete it to have it proposed again"
            )
        return params

    def _candidate(self, params: Params) -> Candidate:
        """The next setting, with its runs."""
        number = len(self.candidates)
        try:
            return Candidate(number, params, self.cell.runs(params))
        except ConfigError as error:
            return Candidate(number, params, (), str(error))

    def _leading(self) -> int:
        """How many settings from 0 on are finished without a gap."""
        first_open = (candidate.number for candidate in self.candidates if not self.finished(candidate))
        return next(first_open, len(self.candidates))

    def _suggestion(self, number: int) -> dict[str, Any]:
        known = max(0, number - self.cell.stage.window + 1)
        return suggest(
            self.cell.space,
            sampler=self.cell.stage.sampler,
            scope=(self.cell.stage.seed, self.cell.cell_id),
            number=number,
            finished=[(each.params, self._finite(each)) for each in self.candidates[:known]],
            running=[each.params for each in self.candidates[known:number]],
        )

    def _finite(self, candidate: Candidate) -> float:
        score = self.score(candidate)
        assert score is not None, "a setting is proposed when those before its window are finished"
        return score


def _mean(values: Sequence[float | None]) -> float | None:
    """NaN where a run failed or there is none; None as long as one is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return math.fsum(known) / len(known) if known and all(map(math.isfinite, known)) else math.nan


def _difference(title: str, candidate: Candidate, today: Mapping[str, Any]) -> str:
    return (
        f"{title}: setting {candidate.number} is on record as {dict(candidate.params)}, and would be proposed as "
        f"{dict(today)} today (another version of optuna, or runs that ended otherwise since); the recorded one counts"
    )


def _optuna_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("optuna")
    except PackageNotFoundError:
        return ""
