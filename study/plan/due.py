"""Which runs of a plan are due, given what the ledger has."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, get_args

from study.plan.plan import Plan, PlannedRun
from study.plan.select import fitting_cells
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
) -> list[PlannedRun]:
    """Runs to be trained now, in plan order: complete ones are done, failed ones wait for `retry_failed`.

    Args:
        plan: the plan.
        commits: final status of committed runs by run id.
        policy: "only-missing"; "always" trains everything again; "only-cache" trains nothing.
        retry_failed: failed runs are due too.
        only: `key=value` texts; runs of other cells are left aside. Of several with one key, one has to fit.

    Raises:
        ConfigError: unknown policy, or an `only` that fits no cell.
    """
    if policy not in get_args(Policy):
        raise ConfigError(f"unknown policy '{policy}'; {nearest(policy, list(get_args(Policy)))}")
    if policy == "only-cache":
        return []
    done = {"complete"} if retry_failed else {"complete", "failed"}
    chosen = _chosen(plan, only)
    return [run for run in chosen if policy == "always" or _status(commits, run) not in done]


def _status(commits: Mapping[str, Commit], run: PlannedRun) -> str:
    """A pruned run counts as missing: its curve was cut for a search, not for a table."""
    commit = commits.get(run.run_id)
    return "missing" if commit is None else commit.status


def refuse_search(plan: Plan) -> None:
    """Refuses to train methods as they are whose hyperparameters are to be searched first.

    Raises:
        ConfigError: the methods, and what can be done.
    """
    if plan.needs_search:
        names = ", ".join(f"'{name}'" for name in plan.needs_search)
        raise ConfigError(
            f"{plan.spec.path}: {names} would have to be tuned first, and this version does not search; "
            "take `tune` out of the methods, or write its values under `compare`"
        )


def _chosen(plan: Plan, only: Sequence[str]) -> list[PlannedRun]:
    if not only:
        return list(plan.runs.values())
    cells = set(fitting_cells(plan, only))
    if not cells:
        raise ConfigError(f"--only {' '.join(only)} fits no cell of the plan")
    return [run for run in plan.runs.values() if cells.intersection(run.cells)]
