"""A process that trains one run and is killed by SIGKILL at a given write or deletion in the results folder."""

import multiprocessing
import os
import signal
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from trainables.config import REGISTRIES, RunConfig
from trainables.ledger import Ledger
from trainables.ledger.store import LocalStore
from trainables.training.session import Session, SessionOptions

NOT_RESULTS = {
    *("attempt", "attempts", "started_at", "ended_at", "wall_seconds", "train_seconds", "eval_seconds"),
    *("images_per_second", "git_commit"),
}


def rows(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """Every row without what names the attempt or measures time."""
    return {
        table: [{k: v for k, v in row.items() if k not in NOT_RESULTS} for row in ledger.read(table).to_pylist()]
        for table in ("runs", "epochs", "classes")
    }


def go_on(run: RunConfig, ledger: Ledger, cache: Path, *, generation: int | None = None) -> None:
    """Trains to the end, from the newest checkpoint."""
    options = SessionOptions(study="s", cache=cache, generation=generation, checkpoint_seconds=0)
    session = Session(run, ledger=ledger, options=options)
    while not session.done:
        session.step()


def forkserver() -> ForkServerContext:
    """Starts processes that have every part imported."""
    parts = {part.implementation.partition(":")[0] for registry in REGISTRIES.values() for part in registry.values()}
    context = multiprocessing.get_context("forkserver")
    # The first step of an optimizer imports torch._dynamo, which takes as long as all the rest.
    context.set_forkserver_preload(["torch._dynamo", "trainables.training.session", *sorted(parts)])
    return context


def die_at(operation: int, *, before: bool) -> None:
    """Kills this process before or after its operation of that number, counted from 0."""
    count = 0

    def watched(name: str) -> None:
        original = getattr(LocalStore, name)

        def call(*arguments: object, **options: object) -> object:
            nonlocal count
            mine, count = count, count + 1
            if before and mine == operation:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **options)
            if mine == operation:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(LocalStore, name, call)

    watched("put")
    watched("delete")


def train(
    run: str, results: str, cache: str, operation: int, before: bool = False, generation: int | None = None
) -> None:
    """Trains; an exit code of 0 says that nothing killed it."""
    ledger = Ledger.open(results, create=True)
    die_at(operation, before=before)
    go_on(RunConfig.model_validate_json(run), ledger, Path(cache), generation=generation)
    sys.stdout.flush()
