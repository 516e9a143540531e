"""How runs share GPUs, on a terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from study.plan import PlannedRun
    from trainables.ledger import Ledger


def packing_lines(runs: "Iterable[PlannedRun]") -> list[str]:
    """How many trials a GPU will have, or what that depends on; nothing where no run shares one."""
    counts: dict[str, int] = {}
    for run in runs:
        if run.resources.shares_gpu:
            how = _how(run)
            counts[how] = counts.get(how, 0) + 1
    return [f"packing: {count} runs, {how}" for how, count in counts.items()]


def _how(run: "PlannedRun") -> str:
    from study.packing.shares import in_gib, in_words

    if run.resources.gpu != "auto":
        return in_words(run.resources.gpus)
    if run.resources.gpu_memory is not None:
        return f"as many per GPU as {in_gib(run.resources.gpu_memory)} each allow"
    return "as many per GPU as their memory allows, which is measured before they start"


def retried_lines(ledger: "Ledger") -> list[str]:
    """How many runs of a study needed a larger share of a GPU; nothing where none did."""
    from study.packing.book import PackingBook
    from study.packing.shares import in_words

    counts: dict[str, int] = {}
    for share in PackingBook(ledger).retried.values():
        counts[in_words(share)] = counts.get(in_words(share), 0) + 1
    shares = [f"{count} with {how}" for how, count in counts.items()]
    return [f"packing: started again after they ran out of GPU memory: {', '.join(shares)}"] if shares else []
