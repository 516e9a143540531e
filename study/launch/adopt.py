"""Runs that a sibling study already has are copied, not trained again."""

from collections.abc import Callable, Collection, Sequence

from study.invalidation import invalidated_runs
from study.plan import Plan
from trainables.errors import LedgerError
from trainables.ledger import Ledger
from trainables.ledger.folder import results_beside
from trainables.ledger.places import Place, resolved


def adopt_siblings(
    plan: Plan, ledger: Ledger, *, own: Collection[str] | None = None, tell: Callable[[str], None]
) -> int:
    """Copies complete runs of the plan from the results folders beside this one; returns how many.

    Runs that were invalidated here are trained, not copied: a sibling has them with the same fault.

    Args:
        own: runs of this launch's shard; None for all.
        tell: called with a message where a sibling cannot be used; its runs are trained instead.
    """
    complete = _complete(ledger)
    missing = {run_id for run_id in plan.runs if run_id not in complete and (own is None or run_id in own)}
    missing -= invalidated_runs(ledger)
    adopted = 0
    for folder in _siblings(ledger, tell):
        if not missing:
            break
        try:
            taken = _adopt(ledger, folder, missing)
        except LedgerError as error:
            tell(f"nothing is taken from {folder}: {error}")
            continue
        adopted += len(taken)
        missing -= taken
    return adopted


def _siblings(ledger: Ledger, tell: Callable[[str], None]) -> Sequence[Place]:
    try:
        return results_beside(resolved(ledger.location))
    except LedgerError as error:
        tell(f"sibling studies are not looked at: {error}")
        return []


def _adopt(ledger: Ledger, folder: Place, missing: set[str]) -> set[str]:
    sibling = Ledger.open(folder)
    return set(ledger.adopt(sibling, *sorted(_complete(sibling) & missing)))


def _complete(ledger: Ledger) -> set[str]:
    return {run_id for run_id, commit in ledger.commits().items() if commit.status == "complete"}
