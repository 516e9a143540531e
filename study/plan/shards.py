"""Which runs belong to which shard of a job array."""

from study.plan.plan import Plan
from trainables.ledger.shards import Shard


def runs_of(plan: Plan, shard: Shard) -> set[str]:
    """Runs of a shard, by their ids alone; runs that need one another are in one shard.

    Args:
        plan: the same for all shards.
        shard: whose runs are asked for.
    """
    anchors = _anchors(plan)
    return {run_id for run_id, anchor in anchors.items() if int(anchor, 16) % shard.count == shard.index - 1}


def _anchors(plan: Plan) -> dict[str, str]:
    """Run id -> the smallest id among the runs that it is connected with through what they need."""
    anchors = {run_id: run_id for run_id in plan.runs}

    def root(run_id: str) -> str:
        while anchors[run_id] != run_id:
            anchors[run_id] = run_id = anchors[anchors[run_id]]
        return run_id

    for run in plan.runs.values():
        for source in (source for source in run.sources if source in anchors):
            first, second = sorted((root(run.run_id), root(source)))
            anchors[second] = first
    return {run_id: root(run_id) for run_id in plan.runs}
