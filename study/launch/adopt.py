"""Runs that a sibling study already has are copied, not trained again."""

from pathlib import Path

from study.plan import Plan
from trainables.errors import LedgerError
from trainables.ledger import Ledger


def adopt_siblings(plan: Plan, ledger: Ledger) -> int:
    """Copies complete runs of the plan from the results folders beside this one; returns how many."""
    commits = ledger.commits()
    missing = {run_id for run_id in plan.runs if run_id not in commits}
    adopted = 0
    for sibling in _siblings(ledger):
        if not missing:
            break
        found = {run_id for run_id, commit in sibling.commits().items() if commit.status == "complete"} & missing
        adopted += len(ledger.adopt(sibling, *sorted(found)))
        missing -= found
    return adopted


def _siblings(ledger: Ledger) -> list[Ledger]:
    opened = []
    own = Path(ledger.location)
    for folder in sorted(own.parent.iterdir()):
        if folder == own or not (folder / "schema.json").is_file():
            continue
        try:
            opened.append(Ledger.open(folder))
        except LedgerError:
            continue  # of another version: nothing to copy from there
    return opened
