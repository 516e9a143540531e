"""Costs and books for tests."""

from typing import Any

from study.costs import Cost, Costs, Work


def cost(run_id: str, *, seconds: float = 100.0, ended: float = 0.0, **changed: Any) -> Cost:
    """A complete run of ten epochs that needed no time around them."""
    values: dict[str, Any] = {
        "attempt": "0001_01",
        "status": "complete",
        "kind": "k",
        "units": 10.0,
        "epoch_seconds": seconds / 10,
        "startup": 0.0,
        "gpus": 1.0,
        "cpus": 2.0,
        **changed,
    }
    return Cost(run_id=run_id, seconds=seconds, ended=ended, **values)


def work(kind: str = "k", *, units: float = 10.0, gpus: float = 1.0) -> Work:
    return Work(kind, units, gpus, 2.0)


class Book:
    """A cost book without a ledger."""

    def __init__(self, *ended: Cost, **planned: Work) -> None:
        self.costs = Costs(ended, planned)
        self.refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1
