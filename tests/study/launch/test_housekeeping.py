"""Keeping the ledger compact in a thread."""

import threading

import pytest

from study.launch.housekeeping import Housekeeping
from trainables.ledger import haste


def test_ctrl_c_does_not_wait_for_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haste, "_SECONDS", 0.05)
    began, ended = threading.Event(), threading.Event()

    def note() -> None:
        began.set()
        ended.wait(20)
        ended.set()

    with pytest.raises(KeyboardInterrupt), Housekeeping(None, note=note, interval=0.01):
        assert began.wait(20)
        raise KeyboardInterrupt
    assert not ended.is_set()
    ended.set()
