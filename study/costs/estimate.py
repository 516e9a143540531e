"""What the rest of a plan will cost, by the timings of what has ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.costs.costs import Costs, Work, work_of

if TYPE_CHECKING:
    from study.plan import PlannedRun, Resources


@dataclass(frozen=True)
class Estimate:
    """Of runs with equal resources.

    Attributes:
        runs: how many.
        unknown: how many of them are of a kind of which none has ended.
        seconds: of the others, one after the other.
    """

    resources: "Resources"
    runs: int
    unknown: int
    seconds: float

    def at_once(self, *, cpus: float, gpus: float) -> int:
        """How many of these runs a machine trains at a time; 0 where it lacks something."""
        places = [int(cpus / self.resources.cpu + 1e-9)]
        if self.resources.gpus:
            places.append(int(gpus / self.resources.gpus + 1e-9))
        return min(places)


def works(runs: "Iterable[PlannedRun]") -> dict[str, Work]:
    """Run id -> kind and length, for many runs of few kinds."""
    known: dict[tuple[int, float, float], Work] = {}
    found: dict[str, Work] = {}
    for run in runs:
        key = (id(run.base), run.resources.gpus, run.resources.cpu)
        if key not in known:
            known[key] = work_of(run.base, gpus=run.resources.gpus, cpus=run.resources.cpu)
        found[run.run_id] = known[key]
    return found


def estimates(runs: "Iterable[PlannedRun]", costs: Costs) -> list[Estimate]:
    """What runs will cost, one sum for each kind of resources."""
    listed = list(runs)
    by_id = works(listed)
    groups: dict[Resources, list[float | None]] = {}
    for run in listed:
        groups.setdefault(run.resources, []).append(costs.seconds(by_id[run.run_id]))
    return [
        Estimate(resources, len(found), found.count(None), sum(seconds or 0.0 for seconds in found))
        for resources, found in groups.items()
    ]


def remaining(waiting: Mapping[str, float], costs: Costs) -> tuple[float, int]:
    """Seconds of training left, one run after the other, and the number of runs of which nothing is known.

    Args:
        waiting: unfinished runs, each with the share of its epochs that is trained.
        costs: with the work of planned runs.
    """
    found = [None if run_id not in costs.work else costs.seconds(costs.work[run_id]) for run_id in waiting]
    shares = waiting.values()
    seconds = sum((1.0 - share) * each for share, each in zip(shares, found, strict=True) if each is not None)
    return seconds, found.count(None)
