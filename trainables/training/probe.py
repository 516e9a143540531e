"""How much GPU memory a run needs, by a few of its steps and one evaluation at full size."""

from collections.abc import Mapping
from typing import Any

from trainables.ledger import Ledger
from trainables.shipped import NO_VARIABLES, adopt, cache_here, run_here
from trainables.strategies.base import Strategy
from trainables.training.build import build_strategy
from trainables.training.gpu_memory import free_memory, needed_of_gpu
from trainables.training.rehearsal import brief

_STEPS = 4


def needed_memory(run: str, *, session: Mapping[str, Any], environment: Mapping[str, str] = NO_VARIABLES) -> int | None:
    """Bytes of GPU memory, CUDA's own included; for a process that does nothing else. None where there is no GPU.

    Args:
        run: JSON of a `RunConfig`.
        session: what runs of the launch are told: where the ledger, the cache, data and plug-ins are.
        environment: variables of the driver that this process may lack.

    Raises:
        Exception: whatever the run itself would raise.
    """
    adopt(environment)
    config, cache = run_here(run, session), cache_here(session["cache"])
    free_memory()
    artifacts = Ledger.open(session["ledger"]).get
    build_strategy(config, cache=cache, artifacts=artifacts)  # as it is: its own memory may be the largest part
    strategy: Strategy = build_strategy(brief(config, steps=_STEPS), cache=cache, artifacts=artifacts)
    while not strategy.finished:
        strategy.epoch()
    strategy.outcome()
    return needed_of_gpu()
