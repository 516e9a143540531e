"""Which runs of a plan are due, given what the ledger has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, get_args

from study.dependencies import blocked
from study.plan.plan import Plan, PlannedRun
from study.plan.select import fitting_cells, fitting_searches
from trainables.errors import ConfigError
from trainables.spelling import nearest

Policy = Literal["only-missing", "always", "only-cache"]


class Commit(Protocol):
    """What the ledger knows about a finished run from names alone."""

    @property
    def status(self) -> str: ...


def due_runs(
    plan: Plan,
    commits: Mapping[str, Commit],
    *,
    policy: str = "only-missing",
    retry_failed: bool = False,
    only: Sequence[str] = (),
    has_kept: Callable[[PlannedRun], bool] = lambda run: True,
) -> list[PlannedRun]:
    """Runs to be trained now, in plan order: complete ones are done, failed ones wait for `retry_failed`.

    A run one of whose sources failed is not due. A source is, whatever `only` says, where a due run needs what it kept
    and that is not there.

    Args:
        plan: the plan.
        commits: final status of committed runs by run id.
        policy: "only-missing"; "always" trains everything again; "only-cache" trains nothing.
        retry_failed: failed runs are due too.
        only: `key=value` texts; runs of other cells are left aside. Of several with one key, one has to fit.
        has_kept: whether the results folder has what a complete run was to keep for others.

    Raises:
        ConfigError: unknown policy, or an `only` that fits no cell.
    """
    if policy not in get_args(Policy):
        raise ConfigError(f"unknown policy '{policy}'; {nearest(policy, list(get_args(Policy)))}")
    if policy == "only-cache":
        return []
    chosen = _chosen(plan, only)
    if policy == "always":
        due = {run.run_id for run in chosen}
    else:
        done = {"complete"} if retry_failed else {"complete", "failed"}
        due = {run.run_id for run in chosen if _status(commits, run.run_id) not in done}
        due -= set() if retry_failed else blocked_runs(plan, commits)
    due |= _needed_sources(plan, due, commits, has_kept)
    return [run for run in plan.runs.values() if run.run_id in due]


def blocked_runs(plan: Plan, commits: Mapping[str, Commit]) -> set[str]:
    """Runs that cannot start, because a run that they need failed, or is blocked itself."""
    sources = {run.run_id: run.sources for run in plan.runs.values() if run.sources}
    return blocked(sources, {run_id: commit.status for run_id, commit in commits.items()})


def _needed_sources(
    plan: Plan, due: set[str], commits: Mapping[str, Commit], has_kept: Callable[[PlannedRun], bool]
) -> set[str]:
    """Planned runs that due runs need, directly or not, and that are missing or kept nothing."""
    needed: set[str] = set()
    waiting = [source for run_id in due for source in plan.runs[run_id].sources]
    while waiting:
        run_id = waiting.pop()
        if run_id in needed or run_id not in plan.runs:
            continue
        if _status(commits, run_id) != "complete" or not has_kept(plan.runs[run_id]):
            needed.add(run_id)
            waiting.extend(plan.runs[run_id].sources)
    return needed


def _status(commits: Mapping[str, Commit], run_id: str) -> str:
    """A pruned run counts as missing: its curve was cut for a search, not for a table."""
    commit = commits.get(run_id)
    return "missing" if commit is None else commit.status


def _chosen(plan: Plan, only: Sequence[str]) -> list[PlannedRun]:
    if not only:
        return list(plan.runs.values())
    cells = set(fitting_cells(plan, only))
    if not cells and not fitting_searches(plan, only):
        raise ConfigError(f"--only {' '.join(only)} fits no cell of the plan")
    return [run for run in plan.runs.values() if cells.intersection(run.cells)]
