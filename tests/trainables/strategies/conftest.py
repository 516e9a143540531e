"""Makes `ccp_tools` importable for the tests beside it, and a run of that strategy that trains in a second."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ccp_tools import CONFIG, LOSSES, with_sections

from trainables.config import RunConfig
from trainables.strategies.plain import Plain


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
