"""Makes `ccp_tools` and `transfer_tools` importable for the tests beside them; runs that train in a second."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ccp_tools import CONFIG, LOSSES, with_sections
from transfer_tools import Built, student_of, train

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.strategies.plain import Plain
from trainables.strategies.transfer import Transfer
from trainables.testing.runs import changed
from trainables.training.build import build_strategy


@pytest.fixture
def ccp_run(tiny_run: RunConfig) -> RunConfig:
    return with_sections(
        tiny_run,
        loss=LOSSES["c2"],
        synthesis={"name": "none"},
        strategy=CONFIG,
        training={"epochs": 6, "batch_size": 16, "clip_norm": 10},
        protocol={"test": "never", "distance": "lipschitz"},
    )


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Validation MAP@R that the next evaluations will find."""
    coming: list[float] = []
    monkeypatch.setattr(Plain, "_measure", lambda self, part: {"map_at_r": coming.pop(0)})
    yield coming
    assert coming == [], "evaluations that were never made"


@pytest.fixture
def short_run(tiny_run: RunConfig) -> RunConfig:
    return changed(tiny_run, training={"epochs": 2, "warmup_epochs": 0}, protocol={"test": "never"})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "results", create=True)


@pytest.fixture
def teacher(short_run: RunConfig, ledger: Ledger, private_cache: Path) -> RunConfig:
    """A run of one epoch that kept its weights: 64 dimensions."""
    run = changed(short_run, embedding_dim=64, training={"epochs": 1}, keep={"weights": "selected"})
    assert train(run, ledger, private_cache).status == "complete"
    return run


@pytest.fixture
def built(teacher: RunConfig, ledger: Ledger, short_run: RunConfig, private_cache: Path) -> Built:
    """The strategy of a student of `teacher`."""

    def build(strategy: dict[str, Any] | None = None, **sections: Any) -> Transfer:
        run = student_of(short_run, {"run": teacher.run_id()}, strategy=strategy, **sections)
        built = build_strategy(run.simplified(), cache=private_cache, artifacts=ledger.get)
        assert isinstance(built, Transfer)
        return built

    return build
