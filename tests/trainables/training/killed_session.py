"""A process that trains one run and is killed by SIGKILL at a given write or deletion in the results folder."""

import os
import signal
import sys
from pathlib import Path

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.ledger.store import LocalStore
from trainables.training.session import Session, SessionOptions


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


def train(run: str, results: str, cache: str, operation: int, before: bool) -> None:
    """Trains; a last line on standard output says that nothing killed it."""
    ledger = Ledger.open(results, create=True)
    die_at(operation, before=before)
    options = SessionOptions(study="s", cache=Path(cache), checkpoint_seconds=0)
    session = Session(RunConfig.model_validate_json(run), ledger=ledger, options=options)
    while not session.done:
        session.step()
    sys.stdout.flush()
