"""What a study has cost so far, against its budget."""

from collections.abc import Iterable
from dataclasses import dataclass

from study.costs.budget import Budget
from study.costs.costs import Cost

_HOUR = 3600.0


@dataclass(frozen=True)
class Spent:
    """Over the life of a study; copied runs cost nothing.

    Attributes:
        gpu_hours: hours of runs, times their GPUs.
        cpu_hours: hours of runs, times their CPU cores.
        wall_hours: hours in which some run was under way.
        runs: distinct runs that were trained.
    """

    gpu_hours: float = 0.0
    cpu_hours: float = 0.0
    wall_hours: float = 0.0
    runs: int = 0

    def text(self) -> str:
        """ "3.1 GPU-hours, 12 CPU-hours, 6.2 hours on the clock"."""
        gpu = [f"{self.gpu_hours:.3g} GPU-hours"] if self.gpu_hours else []
        return ", ".join([*gpu, f"{self.cpu_hours:.3g} CPU-hours", f"{self.wall_hours:.3g} hours on the clock"])

    def against(self, budget: Budget) -> list[str]:
        """ "12.3 of 120 GPU-hours" for every limit of the budget."""
        words = {"gpu_hours": "GPU-hours", "wall_hours": "hours", "runs": "runs"}
        limits = [(key, limit) for key in words if (limit := getattr(budget, key)) is not None]
        return [f"{getattr(self, key):.3g} of {limit:g} {words[key]}" for key, limit in limits]


def reached(budget: Budget, *, now: Spent, ahead: Spent) -> str | None:
    """The key of a budget that is spent, or would be overspent; None where one more run may start.

    Args:
        budget: of the study.
        now: what was spent so far.
        ahead: what will have been spent when all runs under way, and the one more, have ended.
    """
    for key in ("gpu_hours", "wall_hours", "runs"):
        limit = getattr(budget, key)
        if limit is not None and (getattr(ahead, key) > limit or (key != "runs" and getattr(now, key) >= limit)):
            return key
    return None


def spent(costs: Iterable[Cost]) -> Spent:
    """The sum of what runs have cost."""
    own = [cost for cost in costs if not cost.copied]
    return Spent(
        gpu_hours=sum(cost.seconds * cost.gpus for cost in own) / _HOUR,
        cpu_hours=sum(cost.seconds * cost.cpus for cost in own) / _HOUR,
        wall_hours=covered((cost.ended - cost.seconds, cost.ended) for cost in own) / _HOUR,
        runs=len({cost.run_id for cost in own}),
    )


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reach = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reach))
        reach = max(reach, end)
    return total
