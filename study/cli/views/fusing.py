"""Which runs train together, on a terminal."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from study.plan import PlannedRun


def fusing_lines(runs: "Iterable[PlannedRun]") -> list[str]:
    """How many runs will train together, and why others will not that were asked to; nothing where none do."""
    from study.fusing import most_together
    from trainables.fused.rules import fusing_key, refusal

    kinds: Counter[tuple[str, int]] = Counter()
    refused: Counter[str] = Counter()
    for run in runs:
        if (most := most_together(run)) > 1:
            kinds[fusing_key(run.config), most] += 1
        elif isinstance(run.resources.fuse, int) and run.base.strategy.trains:
            refused[refusal(run.config) or "they need other runs"] += 1
    together = {kind: count for kind, count in kinds.items() if count > 1}
    limits = sorted({most for _, most in together})
    lines = [
        f"fusing: {sum(together.values())} runs of {len(together)} kinds train together, up to "
        f"{' or '.join(map(str, limits))} at a time"
    ]
    alone = [f"fusing: {count} runs train by themselves: {reason}" for reason, count in refused.items()]
    return (lines if together else []) + alone
