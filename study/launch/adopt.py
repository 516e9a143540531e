"""Runs that a sibling study already has are copied, not trained again."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence

from study.invalidation import invalidated_runs
from study.plan import Plan
from trainables.errors import LedgerError
from trainables.ledger import Ledger
from trainables.ledger.folder import results_beside
from trainables.ledger.places import Place, resolved
from trainables.training.config import Protocol


def adopt_siblings(
    plan: Plan, ledger: Ledger, *, own: Collection[str] | None = None, tell: Callable[[str], None]
) -> int:
    """Copies complete runs of the plan from the results folders beside this one; returns how many.

    Runs that were invalidated here are trained, not copied: a sibling has them with the same fault. So are runs that
    the sibling did not measure at every k and under every deformation that this plan asks for.

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
            taken = _adopt(ledger, folder, {run_id: plan.runs[run_id].config.protocol for run_id in missing})
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


def _adopt(ledger: Ledger, folder: Place, missing: Mapping[str, Protocol]) -> set[str]:
    sibling = Ledger.open(folder)
    there = _complete(sibling) & missing.keys()
    if not there:
        return set()
    configs = {row["run_id"]: row["config"] for row in sibling.read("runs", columns=["run_id", "config"]).to_pylist()}
    measured = {run_id: Protocol.model_validate(json.loads(configs[run_id])["protocol"]) for run_id in there}
    return set(ledger.adopt(sibling, *sorted(run_id for run_id in there if _covers(measured[run_id], missing[run_id]))))


def _covers(found: Protocol, wanted: Protocol) -> bool:
    """Whether a run was measured in every way that is asked for; its id does not tell."""
    ways = ("ks", "label_ks", "deformations")
    return all(set(getattr(wanted, way)) <= set(getattr(found, way)) for way in ways)


def _complete(ledger: Ledger) -> set[str]:
    return {run_id for run_id, commit in ledger.commits().items() if commit.status == "complete"}
