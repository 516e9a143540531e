"""A wall clock that is set while a study runs, by minutes or by years, decides nothing."""

import ast
import random
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest
from launched import spec_text, train_here

from study.costs import Cost, Costs
from study.launch import gate as gates
from study.launch.gate import Gate
from study.spec.model import Budget
from trainables.errors import LedgerError
from trainables.ledger import Lease, Ledger
from trainables.ledger.lease import current_generation

PACKAGES = ("study", "trainables", "analysis")
ROOT = Path(__file__).parents[3]
WALL_CLOCK = {
    "analysis/reports/model.py": "tells when the page was made",
    "study/invalidation.py": "names a record",
    "study/launch/gate.py": "compares with the ends of earlier launches; read once",
    "study/plan/plan.py": "tells when the plan was made",
    "trainables/ledger/evaluations.py": "names a file; of evaluations of one metric, which are equal, any may count",
    "trainables/ledger/forgetting.py": "names a file that nothing reads",
    "trainables/ledger/lease.py": "makes every renewal differ; only a change counts",
    "trainables/ledger/live.py": "advisory",
    "trainables/ledger/store.py": "a write under way that it takes for an old one is repeated",
    "trainables/training/session.py": "tells when a run began, and stands in its log",
}
JUMPS = [timedelta(0), timedelta(minutes=-7), timedelta(hours=2), timedelta(days=-4000), timedelta(days=4000)]


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    draws = random.Random(0)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + draws.choice(JUMPS)

    for module in ("training.session", "ledger.lease", "ledger.live", "ledger.forgetting"):
        monkeypatch.setattr(f"trainables.{module}.datetime", Jumping)
    yield


def test_runs_are_the_same_and_their_times_fit(
    tmp_path: Path, jumping: None, monkeypatch: pytest.MonkeyPatch, private_cache: Path
) -> None:
    text = spec_text("  plain: {loss: norm_softmax}\n")
    jumped = train_here(tmp_path, text, cache=private_cache)
    rows = Ledger.open(tmp_path / "undisturbed").read("runs").to_pylist()
    assert len({row["started_at"].year for row in rows} | {datetime.now(UTC).year}) > 1, "the clock did not jump"
    for row in rows:
        took = (row["ended_at"] - row["started_at"]).total_seconds()
        assert 0 <= row["train_seconds"] <= took < 600
        assert took == pytest.approx(row["wall_seconds"], abs=1e-5)
    monkeypatch.undo()
    (tmp_path / "steady").mkdir()
    assert jumped == train_here(tmp_path / "steady", text, cache=private_cache)


def test_a_lease_is_held_as_long_as_it_is_renewed(
    tmp_path: Path, jumping: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renewals far in the past or in the future hold it; silence by the newcomer's own clock frees it."""
    ledger, elapsed = Ledger.open(tmp_path / "s", create=True), [0.0]
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    holder = Lease(ledger, interval=1e9, sleep=lambda seconds: None)
    holder.acquire()
    for _ in range(len(JUMPS) * 3):
        holder.renew()
    monkeypatch.setattr(socket, "gethostname", lambda: "here")

    def renewed_at(moment: float) -> Any:
        def sleep(seconds: float) -> None:
            elapsed[0] += seconds
            if elapsed[0] == moment:
                with monkeypatch.context() as patch:
                    patch.setattr(socket, "gethostname", lambda: "elsewhere")
                    holder.renew()

        return sleep

    newcomer = {"clock": lambda: elapsed[0], "patience": 60.0}
    with pytest.raises(LedgerError, match=r"process .* on host elsewhere; wait for it"):
        Lease(ledger, sleep=renewed_at(30.0), **newcomer).acquire()  # type: ignore[arg-type]
    assert elapsed[0] == 30.0
    elapsed[0] = 100.0
    assert Lease(ledger, sleep=renewed_at(-1), **newcomer).acquire() == 2  # type: ignore[arg-type]
    assert 160.0 <= elapsed[0] < 162.0
    with pytest.raises(LedgerError, match="host here"):
        holder.renew()
    assert current_generation(ledger) == 2


@pytest.mark.parametrize("jump", [-1e8, -60.0, 60.0, 1e8])
def test_budgets_count_the_time_that_passes(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    wall, passed = [1.7e9], [0.0]
    monkeypatch.setattr(gates.time, "time", lambda: wall[0])
    monkeypatch.setattr(gates.time, "monotonic", lambda: passed[0])

    class Book:
        costs = Costs([Cost("a", "0001_01", "complete", "k", 1.0, 1800.0, 1800.0, 0.0, 1.0, 1.0, 1.7e9 - 100)])

        def refresh(self) -> None: ...

    gate = Gate(Book(), budget=Budget(wall_hours=1.0))  # type: ignore[arg-type]
    assert gate.admits("b")
    wall[0] += jump
    passed[0] += 1600.0
    assert gate.admits("c") and gate.reached is None
    passed[0] += 300.0
    assert not gate.admits("d") and gate.reached == "wall_hours"


def test_only_these_places_look_at_the_wall_clock() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in _WALL
    }
    assert found == set(WALL_CLOCK), "a decision needs time.monotonic; a name or a text may be added to the list"


_WALL = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
