"""Costs on a terminal."""

from trainables.ledger import Ledger


def cost_lines(ledger: Ledger) -> list[str]:
    """What a study has cost so far, and its budget; nothing where nothing is known."""
    from study.costs import read_costs, spent

    costs = read_costs(ledger)
    past = spent(costs.ended)
    lines = [f"cost so far: {past.text()}"] if past.runs else []
    limits = past.against(costs.budget)
    return [*lines, f"budget: {', '.join(limits)}"] if limits else lines
