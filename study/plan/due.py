"""Which runs of a plan are due, given what the ledger has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, get_args

from study.plan.plan import Plan, PlannedRun
from study.plan.select import fitting_cells, fitting_searches
from trainables.errors import ConfigError
from trainables.parts import nearest

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
    has_weights: Callable[[str], bool] = lambda run_id: True,
) -> list[PlannedRun]:
    """Runs to be trained now, in plan order: complete ones are done, failed ones wait for `retry_failed`.

    A run whose parent failed is not due. A parent is, whatever `only` says, where a due run needs its weights and they
    are not there.

    Args:
        plan: the plan.
        commits: final status of committed runs by run id.
        policy: "only-missing"; "always" trains everything again; "only-cache" trains nothing.
        retry_failed: failed runs are due too.
        only: `key=value` texts; runs of other cells are left aside. Of several with one key, one has to fit.
        has_weights: whether the results folder has the kept weights of a run.

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
    due |= _needed_parents(plan, due, commits, has_weights)
    return [run for run in plan.runs.values() if run.run_id in due]


def blocked_runs(plan: Plan, commits: Mapping[str, Commit]) -> set[str]:
    """Runs that cannot start, because the run that they learn from failed, or is blocked itself."""
    parents = {run.run_id: run.parent for run in plan.runs.values() if run.parent}
    return blocked(parents, {run_id: commit.status for run_id, commit in commits.items()})


def blocked(parents: Mapping[str, str], states: Mapping[str, str]) -> set[str]:
    """Runs without a result that learn from one that failed, directly or not.

    Args:
        parents: run id -> the run that it learns from.
        states: final status of committed runs.
    """
    stopped = {run_id for run_id, state in states.items() if state == "failed"}
    waiting = {run_id: parent for run_id, parent in parents.items() if states.get(run_id) != "complete"}
    while more := {run_id for run_id, parent in waiting.items() if parent in stopped} - stopped:
        stopped |= more
    return {run_id for run_id in stopped if states.get(run_id) != "failed"}


def _needed_parents(
    plan: Plan, due: set[str], commits: Mapping[str, Commit], has_weights: Callable[[str], bool]
) -> set[str]:
    """Planned runs that due runs learn from, directly or not, and that are missing or kept no weights."""
    needed: set[str] = set()
    waiting = [plan.runs[run_id].parent for run_id in due]
    while waiting:
        run_id = waiting.pop()
        if not run_id or run_id in needed or run_id not in plan.runs:
            continue
        if _status(commits, run_id) != "complete" or not has_weights(run_id):
            needed.add(run_id)
            waiting.append(plan.runs[run_id].parent)
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
