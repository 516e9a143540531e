"""Ctrl-C ends at once, also while threads wait for a storage that is away."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainables.ledger import Ledger, haste
from trainables.ledger.lease import DRIVER_KEY, Lease
from trainables.ledger.patience import Patience
from trainables.ledger.store import LocalStore


class Wait:
    """Takes the place of sleeping: lasts until it is ended."""

    def __init__(self) -> None:
        self.began, self.ended = threading.Event(), threading.Event()

    def __call__(self, seconds: float = 0) -> None:
        self.began.set()
        self.ended.wait(20)
        self.ended.set()


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wait]:
    monkeypatch.setattr(haste, "_SECONDS", 0.05)
    wait = Wait()
    yield wait
    wait.ended.set()


def test_a_lease_is_left_while_its_folder_is_away(wait: Wait, tmp_path: Path) -> None:
    Ledger.open(tmp_path / "s", create=True)
    patience = Patience("the folder", answered=True, pauses=(1.0,), sleep=wait)
    ledger = Ledger(LocalStore(tmp_path / "s", marker="schema.json", patience=patience))
    with pytest.raises(KeyboardInterrupt), Lease(ledger, interval=0.01):
        (tmp_path / "s").rename(tmp_path / "aside")
        assert wait.began.wait(20), "the lease's thread waits for the folder"
        raise KeyboardInterrupt
    assert not wait.ended.is_set()


def test_a_lease_is_released_where_the_folder_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger.open(tmp_path / "s", create=True)
    monkeypatch.setattr(haste, "_SECONDS", 20.0)
    with pytest.raises(KeyboardInterrupt), Lease(ledger):
        raise KeyboardInterrupt
    assert b'"token": ""' in ledger.get(DRIVER_KEY)
