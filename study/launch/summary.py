"""How a launch is asked for, and what it came to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.launch.gate import TimeLimit
from study.plan import Plan, blocked_runs
from trainables.ledger import Commit, Ledger
from trainables.ledger.shards import Shard


@dataclass(frozen=True)
class LaunchOptions:
    """How to launch; nothing here changes a run's numbers.

    Attributes:
        cache: folder of decoded images and features.
        address: of a Ray cluster; None starts a private local instance.
        checkpoint_seconds: least time between two checkpoints of a run.
        retry_failed: failed runs are due again.
        policy: only-missing, always or only-cache.
        only: dotted key -> value; other runs are left alone.
        shard: the part of the runs that this launch trains, beside launches of the other shards; None for all.
        limit: when the launch ends; None where it ends when nothing is due.
        stage: "tune" ends when all settings are chosen, "confirm" searches nothing, "all" does both.
    """

    cache: Path
    address: str | None = None
    checkpoint_seconds: float = 30.0
    retry_failed: bool = False
    policy: str = "only-missing"
    only: Sequence[str] = ()
    stage: str = "all"
    limit: TimeLimit | None = None
    shard: Shard | None = None


@dataclass
class Summary:
    """What a launch did and what is left.

    Attributes:
        planned: runs of the plan; complete, failed, missing: how many of them are in which state now.
        trained: runs that this launch committed.
        adopted: runs copied from sibling studies.
        blocked: how many of the missing ones wait for a run that failed.
        interrupted: a signal ended the launch early.
        out_of_time: the time limit did, or kept runs from starting.
        budget: which budget kept runs from starting, and how to raise it; empty where none did.
        errors: what ended the launch early: a disk that is full, a lost lease, workers that do not start.
        settings: of all searches; settings_done: how many of them are finished.
        tune_failed, tune_pruned: runs of these settings that failed, and that were stopped early.
        tune_skipped: replicates of settings that never started, for their setting was clearly worse or failed.
        hopeless: searches that are over and found no setting that trains.
        claims, claims_settled: comparisons that decide how many seeds are trained, and how many are settled.
        spared: runs that their claims did not need, or do not need yet.
        enlarged: runs that this launch started again with a larger share of a GPU.
    """

    planned: int
    complete: int = 0
    failed: int = 0
    missing: int = 0
    blocked: int = 0
    trained: int = 0
    adopted: int = 0
    interrupted: bool = False
    out_of_time: bool = False
    budget: str = ""
    errors: list[str] = field(default_factory=list)
    settings: int = 0
    settings_done: int = 0
    tune_failed: int = 0
    tune_pruned: int = 0
    tune_skipped: int = 0
    hopeless: list[str] = field(default_factory=list)
    claims: int = 0
    claims_settled: int = 0
    spared: int = 0
    enlarged: int = 0

    @property
    def left(self) -> bool:
        """Whether the same command has something to do."""
        return self.missing > self.blocked or self.settings_done < self.settings


def summarised(
    plan: Plan,
    ledger: Ledger,
    *,
    own: Collection[str] | None,
    before: Mapping[str, Commit],
    adopted: int,
    interrupted: bool,
    errors: list[str],
) -> Summary:
    """What stands in a ledger after a launch.

    Args:
        plan: with the cells of all searches that are over.
        ledger: of the launch.
        own: runs of this launch's shard; None for all.
        before: how runs had ended that this launch did not train.
        adopted: runs copied from sibling studies.
        interrupted: whether a signal ended the launch.
        errors: what else did.
    """
    commits = ledger.commits()
    runs = [run_id for run_id in plan.runs if own is None or run_id in own]
    states = [commits[run_id].status if run_id in commits else "missing" for run_id in runs]
    ended = {run_id: commit for run_id, commit in commits.items() if own is None or run_id in own}
    return Summary(
        planned=len(states),
        complete=states.count("complete"),
        failed=states.count("failed"),
        missing=states.count("missing"),
        blocked=len(blocked_runs(plan, commits).intersection(runs)),
        trained=sum(before.get(run_id) != commit for run_id, commit in ended.items()),
        adopted=adopted,
        interrupted=interrupted,
        errors=errors,
        **_searched(plan, commits),
        **_settled(plan),
    )


def _searched(plan: Plan, commits: Mapping[str, Commit]) -> dict[str, Any]:
    tuned = {run.run_id for search in plan.searches for each in search.candidates for run in each.runs}
    states = [commits[run_id].status for run_id in tuned & commits.keys()]
    return {
        "settings": sum(search.trials for search in plan.searches),
        "settings_done": sum(search.done for search in plan.searches),
        "tune_failed": states.count("failed"),
        "tune_pruned": states.count("pruned"),
        "tune_skipped": sum(search.replicates.skipped(search.candidates) for search in plan.searches),
        "hopeless": [search.cell.title for search in plan.searches if search.over and search.chosen is None],
    }


def _settled(plan: Plan) -> dict[str, Any]:
    if plan.settling is None:
        return {}
    standings = plan.settling.standings
    settled = sum(standing.settled for standing in standings)
    return {"claims": len(standings), "claims_settled": settled, "spared": len(plan.settling.spared)}
