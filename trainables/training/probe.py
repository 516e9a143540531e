"""How much GPU memory a run needs, by a few of its steps and one evaluation at full size."""

from collections.abc import Sequence
from pathlib import Path

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.plugins import load_plugins
from trainables.strategies.base import Strategy
from trainables.training.build import build_strategy
from trainables.training.gpu_memory import free_memory, needed_of_gpu
from trainables.training.rehearsal import brief

_STEPS = 4


def needed_memory(run: str, *, ledger: str | Path, cache: Path, plugins: Sequence[str] = ()) -> int | None:
    """Bytes of GPU memory, CUDA's own included; for a process that does nothing else. None where there is no GPU.

    Args:
        run: JSON of a `RunConfig`.
        ledger: where the results folder is that has what the run needs of other runs.

    Raises:
        Exception: whatever the run itself would raise.
    """
    load_plugins([Path(path) for path in plugins])
    config = RunConfig.model_validate_json(run)
    free_memory()
    artifacts = Ledger.open(ledger).get
    build_strategy(config, cache=cache, artifacts=artifacts)  # as it is: its own memory may be the largest part
    strategy: Strategy = build_strategy(brief(config, steps=_STEPS), cache=cache, artifacts=artifacts)
    while not strategy.finished:
        strategy.epoch()
    strategy.outcome()
    return needed_of_gpu()
