"""What the tests of the strategy `transfer` share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.strategies.transfer import Transfer
from trainables.testing.runs import changed
from trainables.training.session import Session, SessionOptions

UNPLANNED = {"method": "norm-softmax"}
FROZEN = {"name": "conv4", "width": 8, "trainable": False}
Built = Callable[..., Transfer]


def student_of(run: RunConfig, teacher: dict[str, Any] | None, *, strategy: Any = None, **sections: Any) -> RunConfig:
    transfer = {"name": "transfer", "teacher": teacher, **(strategy or {})}
    return changed(run, strategy=transfer, synthesis="none", **sections)


def train(run: RunConfig, ledger: Ledger, cache: Path) -> Session:
    session = Session(run, ledger=ledger, options=SessionOptions(study="s", cache=cache, checkpoint_seconds=0))
    while not session.done:
        session.step()
    return session
