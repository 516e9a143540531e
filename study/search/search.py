"""One search: its settings in number order, which of them are finished, what is proposed next, which one is best."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from study.search.candidate import Candidate
from study.search.cell import SearchCell
from study.search.drift import other_cutoffs, other_params
from study.search.objectives import Traded, choice, front, is_nan, mean
from study.search.records import Record, Records, recorded_cutoffs
from study.search.replicates import Replicates
from study.search.sampling import Score, suggest, versions
from study.search.space import Params
from study.search.stopping import Curves, Stops, no_curves
from trainables.errors import ConfigError
from trainables.metrics import sign

if TYPE_CHECKING:
    from study.plan.plan import PlannedRun

Values = Callable[[str, str], float | None]
"""(run id, validation metric or cost) -> value; NaN of a run that failed, None of one not finished or stopped."""

State = Literal["unfinished", "complete", "failed", "pruned"]


class Search:
    """The settings of one cell. What is recorded counts; `propose` goes on from there, under the search protocol.

    Setting n waits until the settings 0 to n - window are finished and learns from those alone, in number order; the
    settings in between count as running, finished or not. So every order of finishing gives the same settings.
    Its runs get their cutoffs from these settings too, and every order of finishing gives the same stops.
    """

    def __init__(self, cell: SearchCell, *, records: Records, values: Values, curves: Curves = no_curves) -> None:
        """Takes up what is recorded, up to the number of trials.

        Args:
            records: where settings are kept.
            values: how runs ended.
            curves: their validation, for a search that stops poor settings early.
        """
        self.cell = cell
        self.stops = Stops(cell, records=records, curves=curves)
        self.candidates: list[Candidate] = []
        self._records, self._values = records, values
        self._scores: dict[int, float] = {}
        self.replicates = Replicates(cell, records=records, value=self._value)
        recorded = records.load(cell.cell_id)
        while len(self.candidates) < min(self.trials, len(recorded)) and len(self.candidates) in recorded:
            number = len(self.candidates)
            self.candidates.append(self._recalled(number, recorded[number]))
        self._recorded = {number: record for number, record in recorded.items() if number >= len(self.candidates)}

    @property
    def trials(self) -> int:
        return self.cell.stage.trials

    def propose(self) -> list[Candidate]:
        """Records and returns the settings that may start by now and have not been proposed before."""
        new = []
        self.replicates.note(self.candidates)
        while len(self.candidates) < self.trials and self._leading() > len(self.candidates) - self.cell.stage.window:
            number = len(self.candidates)
            record = self._recorded.get(number)
            candidate = self._proposed(number) if record is None else self._recalled(number, record)
            self.candidates.append(candidate)
            new.append(candidate)
        return new

    def finished(self, candidate: Candidate) -> bool:
        """Whether all runs of a setting have ended, well or not."""
        return self.score(candidate) is not None

    def score(self, candidate: Candidate) -> float | None:
        """The mean over a setting's runs, larger is better; NaN where one failed or was stopped, or the setting ended
        before all its replicates were trained; None where one is missing, or one of those that it is compared with."""
        known = self._scores.get(candidate.number)
        if known is None and not self.replicates.waits(candidate):
            known = mean([self._value(run) for run in self.replicates.runs(candidate)])
            if known is None:
                return None
            known = math.nan if self.replicates.lost(candidate) else sign(self.cell.select_by) * known
            self._scores[candidate.number] = known
        return known

    def value(self, candidate: Candidate) -> float | None:
        """The mean validation metric of a setting; None where it failed, was stopped, or is not finished."""
        score = self.score(candidate)
        return None if score is None or math.isnan(score) else sign(self.cell.select_by) * score

    def cost(self, candidate: Candidate) -> float | None:
        """The mean cost of a setting's runs; None where it has no value, or its search no cost."""
        if self.cell.stage.cost is None or self.value(candidate) is None:
            return None
        cost = mean([self._values(run.run_id, self.cell.stage.cost) for run in candidate.runs])
        return None if is_nan(cost) else cost

    def state(self, candidate: Candidate) -> State:
        if not self.finished(candidate):
            return "unfinished"
        if self.value(candidate) is not None:
            return "complete"
        runs = self.replicates.runs(candidate)
        stopped = [self.stops.stopped(run) is not None for run in runs]
        failed = [not stop and is_nan(self._value(run)) for run, stop in zip(runs, stopped, strict=True)]
        return "pruned" if (any(stopped) or self.replicates.lost(candidate)) and not any(failed) else "failed"

    @property
    def done(self) -> int:
        """Number of settings that are finished."""
        return sum(self.finished(candidate) for candidate in self.candidates)

    @property
    def pruned(self) -> int:
        """Number of settings of which a run was stopped, or which ended before all their replicates were trained."""
        return sum(self.state(candidate) == "pruned" for candidate in self.candidates)

    @property
    def over(self) -> bool:
        """Whether all trials are finished."""
        return self.done == self.trials

    @property
    def best(self) -> Candidate | None:
        """The best setting so far, with a cost the cheapest within the tolerance; the smallest number of equals. None
        as long as none has a value."""
        return self._best_of(self.candidates, tolerance=self.cell.stage.tolerance)

    def _best_of(self, candidates: Sequence[Candidate], *, tolerance: float = 0.0) -> Candidate | None:
        number = choice(self._traded(candidates), tolerance=tolerance)
        return None if number is None else self.candidates[number]

    @property
    def front(self) -> list[Candidate]:
        """Settings that no other one beats in both objectives, the cheapest first; none without a cost."""
        numbers = front(self._traded(self.candidates)) if self.cell.stage.cost else []
        return [self.candidates[number] for number in numbers]

    def _traded(self, candidates: Sequence[Candidate]) -> dict[int, Traded]:
        """Settings with a value; one whose cost is not known is the dearest."""
        scores = {each.number: score for each in candidates if (score := self.score(each)) is not None}
        return {number: self._with_cost(number, score) for number, score in scores.items() if not math.isnan(score)}

    def _with_cost(self, number: int, score: float) -> Traded:
        if self.cell.stage.cost is None:
            return Traded(score, 0.0)
        cost = self.cost(self.candidates[number])
        return Traded(score, math.inf if cost is None else cost)

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
        """Runs of a setting that have not ended and may start by now."""
        return [run for run in self.replicates.runs(candidate) if self.is_open(run)]

    def is_open(self, run: "PlannedRun") -> bool:
        """Whether a run has not ended for this search; one that another search stopped has, if it stops here too."""
        return self._value(run) is None

    @property
    def runs_left(self) -> int:
        """Trainings to come, at most: equal settings need none."""
        known = {run.run_id for each in self.unfinished for run in each.runs if self.is_open(run)}
        return len(known) + (self.trials - len(self.candidates)) * self.cell.runs_per_setting

    @property
    def runs_ahead(self) -> int:
        """Trainings that nobody can start yet, at most."""
        waiting = sum(len(each.runs) - len(self.replicates.runs(each)) for each in self.unfinished)
        return waiting + (self.trials - len(self.candidates)) * self.cell.runs_per_setting

    @property
    def unfinished(self) -> list[Candidate]:
        """Proposed settings of which runs have not ended."""
        return [candidate for candidate in self.candidates if not self.finished(candidate)]

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
                    texts.append(other_params(self.cell.title, candidate, today))
        return texts + self._different_cutoffs()

    def _different_cutoffs(self) -> list[str]:
        """A setting whose runs came before has the cutoffs of then."""
        texts, seen = list[str](), set[str]()
        if self.stops.rule is None:
            return texts
        for candidate in self.candidates:
            if self._leading() > candidate.number - self.cell.stage.window:
                runs = [run for run in candidate.runs if run.run_id not in seen]
                today = self.stops.computed(runs, before=self._learned_from(candidate.number))
                if today != {run_id: self.stops.cutoffs(run_id) for run_id in today}:
                    texts.append(other_cutoffs(self.cell.title, candidate))
            seen.update(run.run_id for run in candidate.runs)
        return texts

    def record(self) -> dict[str, Any]:
        """The search with its settings, as `plan.json` has it."""
        settings = [self._setting_record(candidate) for candidate in self.candidates]
        chosen = {"chosen": None if self.chosen is None else self.chosen.number}
        front = {"front": [each.number for each in self.front]} if self.cell.stage.cost else {}
        return {**self.cell.summary(), "settings": settings, **chosen, **front}

    def _setting_record(self, candidate: Candidate) -> dict[str, Any]:
        value = {"value": self.value(candidate), "state": self.state(candidate), **self.replicates.trained(candidate)}
        value.update({"cost": self.cost(candidate)} if self.cell.stage.cost else {})
        return {**candidate.record(), **value, **({"error": candidate.error} if candidate.error else {})}

    def _record(self, candidate: Candidate) -> dict[str, Any]:
        record = candidate.record()
        if self.stops.rule is not None:
            for run in record["runs"]:
                run["cutoffs"] = [list(pair) for pair in self.stops.cutoffs(run["run_id"]).items()]
        record |= self.replicates.record(candidate.number)
        return {**record, "sampler": self.cell.stage.sampler, **versions(self.cell.stage.sampler)}

    def _proposed(self, number: int) -> Candidate:
        """A new setting, put on record with the cutoffs of its runs."""
        candidate = self._candidate(self._suggestion(number))
        self.stops.put(self.stops.computed(candidate.runs, before=self._learned_from(number)))
        self.replicates.settle(number, self._best_of(self._known(number)))
        self._records.put(self.cell.cell_id, number, self._record(candidate))
        return candidate

    def _recalled(self, number: int, record: Record) -> Candidate:
        """A setting on record, with the cutoffs that stand there."""
        candidate = self._candidate(self.cell.recorded_params(number, record))
        cutoffs, incumbent = recorded_cutoffs(record), record.get("incumbent")
        self.replicates.settle(number, None if incumbent is None else self.candidates[incumbent])
        self.stops.put({run.run_id: cutoffs.get((run.seed, run.fold), {}) for run in candidate.runs})
        return candidate

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

    def _known(self, number: int) -> list[Candidate]:
        """The settings that setting `number` learns from."""
        return self.candidates[: max(0, number - self.cell.stage.window + 1)]

    def _learned_from(self, number: int) -> "list[PlannedRun]":
        """Runs of these settings, without those that failed: how far they came may depend on timing."""
        runs = (run for candidate in self._known(number) for run in self.replicates.runs(candidate))
        return [run for run in runs if self.stops.stopped(run) is not None or not is_nan(self._value(run))]

    def _suggestion(self, number: int) -> dict[str, Any]:
        known = self._known(number)
        return suggest(
            self.cell.space,
            sampler=self.cell.stage.sampler,
            scope=(self.cell.stage.seed, self.cell.cell_id),
            number=number,
            finished=[(each.params, self._finite(each)) for each in known],
            running=[each.params for each in self.candidates[len(known) : number]],
        )

    def _finite(self, candidate: Candidate) -> Score:
        score = self.score(candidate)
        assert score is not None, "a setting is proposed when those before its window are finished"
        if self.cell.stage.cost:
            return self._with_cost(candidate.number, score)
        if self.replicates.lost(candidate):
            return self.replicates.mean(candidate)
        runs = self.replicates.runs(candidate) if self.state(candidate) == "pruned" else ()
        return self.stops.pruned(runs) or score

    def _value(self, run: "PlannedRun") -> float | None:
        """How a run ended: NaN where it failed or was stopped, None where it is not finished."""
        if self.stops.stopped(run) is not None:
            return math.nan
        return self._values(run.run_id, self.cell.select_by)
