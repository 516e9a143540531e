"""What runs cost and will cost, by the ledger's own timings; `costs.json` has it for commands that open no rows."""

from study.costs.book import CostBook
from study.costs.costs import Cost, Costs, Work, read_costs
from study.costs.estimate import Estimate, estimates, remaining, works
from study.costs.spent import Spent, reached, spent

__all__ = [
    "Cost",
    "CostBook",
    "Costs",
    "Estimate",
    "Spent",
    "Work",
    "estimates",
    "reached",
    "read_costs",
    "remaining",
    "spent",
    "works",
]
