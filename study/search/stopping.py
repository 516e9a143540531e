"""Poor settings stop early, repeatably: the cutoffs of a setting come from the settings that it learns from.

A run gets its cutoffs with its setting and stops itself. Nothing is decided while runs are under way, so there is no
state to restore, and neither timing nor kills change what stops.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from study.search.records import Records
from study.search.sampling import Pruned
from trainables.config import RunConfig
from trainables.metrics import sign
from trainables.training.cutoffs import Curve, Cutoffs, judged, stopped_after, unreachable, warm_up

if TYPE_CHECKING:
    from study.plan.plan import PlannedRun
    from study.search.cell import SearchCell

Curves = Callable[[str, str], Curve]
"""(run id, validation metric) -> what is committed of its validation; an empty curve where nothing is."""


def no_curves(run_id: str, metric: str) -> Curve:
    """Where no run has trained."""
    return Curve({})


@dataclass(frozen=True)
class StoppingRule:
    """Successive halving by cutoffs: at each rung a run goes on only among the best 1/factor of those before it.

    Attributes:
        factor: eta of the papers; the rungs lie after 1/factor, 1/factor^2, ... of the epochs.
        levels: number of rungs.
        minimum: so many values at a rung make a cutoff; fewer make none.
    """

    factor: int
    levels: int = 2
    minimum: int = 4

    def rungs(self, run: RunConfig) -> list[int]:
        """Epochs after which a run is judged: evaluated ones, after the warm-up as far as it is known, not the last."""
        epochs, every, first = run.training.epochs, run.protocol.evaluate_every, warm_up(run)
        shares = (every * self.factor**level for level in range(1, self.levels + 1))
        found = {-(-epochs // share) * every for share in shares}
        return sorted(epoch for epoch in found if first < epoch < epochs)

    def cutoff(self, scores: Iterable[float]) -> float | None:
        """The score of the best 1/factor, interpolated linearly; None where too few are finite."""
        finite = [score for score in scores if math.isfinite(score)]
        if len(finite) < self.minimum:
            return None
        return statistics.quantiles(finite, n=self.factor, method="inclusive")[-1]

    def record(self) -> dict[str, Any]:
        """The rule as JSON values: another one makes another search."""
        return asdict(self)


RULES = {"halving": StoppingRule(factor=2), "asha": StoppingRule(factor=4)}
"""halving: Jamieson and Talwalkar (AISTATS 2016, arXiv 1502.07943), who drop the worse half. asha: Li et al. (MLSys
2020, arXiv 1810.05934), algorithm 2 with their eta of 4, whose rungs also compare with whoever came before. Their runs
wait to be promoted; here a run stops itself, as in the implementation of Ray Tune."""


def rule_of(scheduler: Any) -> StoppingRule | None:
    """The rule of `stages.tune.scheduler`; None where nothing stops, or Ray Tune decides."""
    return RULES.get(scheduler) if isinstance(scheduler, str) else None


def ray_scheduler(scheduler: Any) -> str | None:
    """Which of Ray Tune's schedulers decides; None where none does."""
    return scheduler["ray"] if isinstance(scheduler, dict) else None


class Stops:
    """The cutoffs of one search, and what they make of its runs.

    A run is judged by its curve and by the cutoffs of this search, whoever trained it: one that another search stopped
    earlier goes on here, and the rest of one that went on there does not count here.
    """

    def __init__(self, cell: "SearchCell", *, records: Records, curves: Curves) -> None:
        """
        Args:
            cell: of the search.
            records: where orders to stop stand.
            curves: the validation of runs.
        """
        self.rule = rule_of(cell.stage.scheduler)
        self._cell, self._metric = cell, cell.select_by
        self._records, self._curves = records, curves
        self._cutoffs: dict[str, Cutoffs] = {
            run_id: unreachable(epoch, metric=self._metric) for run_id, epoch in records.orders(cell.cell_id).items()
        }

    def cutoffs(self, run_id: str) -> Cutoffs:
        """What a run has to reach."""
        return self._cutoffs.get(run_id, {})

    def order(self, run_id: str, epoch: int) -> None:
        """Records that Ray Tune's scheduler stops a run after an epoch, whatever its value there."""
        self._records.put_order(self._cell.cell_id, run_id, epoch=epoch)
        self._cutoffs[run_id] = unreachable(epoch, metric=self._metric)

    def ordered(self, run_id: str) -> bool:
        """Whether Ray Tune's scheduler stops a run."""
        return any(map(math.isinf, self.cutoffs(run_id).values()))

    def stopped(self, run: "PlannedRun") -> int | None:
        """The epoch after which a run stopped; None where it did not, or has not yet."""
        cutoffs = self.cutoffs(run.run_id)
        return stopped_after(run.config, self._curve(run), cutoffs) if cutoffs else None

    def computed(self, runs: "Sequence[PlannedRun]", *, before: "Sequence[PlannedRun]") -> dict[str, Cutoffs]:
        """Cutoffs of the runs of a setting.

        Args:
            runs: of the setting.
            before: of all settings that it learns from; those of the same seed and fold count, each once.
        """
        if self.rule is None:
            return {}
        return {run.run_id: self._of(self.rule, run, {each.run_id: each for each in before}) for run in runs}

    def put(self, cutoffs: Mapping[str, Cutoffs]) -> None:
        """Settles cutoffs; a run that comes again keeps those that it had."""
        self._cutoffs = {**cutoffs, **self._cutoffs}

    def pruned(self, runs: "Sequence[PlannedRun]") -> Pruned | None:
        """Where a setting stands of which a run stopped: mean score at the last rung that all its runs have reached."""
        stops = [epoch for run in runs if (epoch := self.stopped(run)) is not None]
        if not stops:
            return None
        values = [self._curve(run).values.get(min(stops), math.nan) for run in runs]
        return Pruned(min(stops), sign(self._metric) * math.fsum(values) / len(values))

    def _of(self, rule: StoppingRule, run: "PlannedRun", before: "Mapping[str, PlannedRun]") -> Cutoffs:
        better = sign(self._metric)
        pairs = [self.counting(each) for each in before.values() if (each.seed, each.fold) == (run.seed, run.fold)]
        found = {}
        for epoch in rule.rungs(run.config):
            cutoff = rule.cutoff(better * values[epoch] for values in pairs if epoch in values)
            if cutoff is not None:
                found[epoch] = better * cutoff
        return found

    def counting(self, run: "PlannedRun") -> dict[int, float]:
        """The values of a run that this search knows: up to where it stopped, after its warm-up."""
        end = self.stopped(run)
        values = judged(run.config, self._curve(run))
        return {epoch: value for epoch, value in values.items() if end is None or epoch <= end}

    def _curve(self, run: "PlannedRun") -> Curve:
        return self._curves(run.run_id, self._metric)
