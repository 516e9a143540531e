"""A setting of a search and its runs."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from study.search.space import Params

if TYPE_CHECKING:
    from study.plan.plan import PlannedRun


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


def difference(title: str, candidate: Candidate, today: Params) -> str:
    """What is told of a setting that would be another one today."""
    return (
        f"{title}: setting {candidate.number} is on record as {dict(candidate.params)}, and would be proposed as "
        f"{dict(today)} today (another version of a package, or runs that ended otherwise since); the recorded one "
        "counts"
    )


def other_cutoffs(title: str, candidate: Candidate) -> str:
    """What is told of a setting whose runs would get other cutoffs today."""
    return (
        f"{title}: setting {candidate.number} has cutoffs on record that it would not get today (runs ended otherwise "
        "since); the recorded ones count"
    )
