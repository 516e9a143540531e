"""Plans whose runs never train: what is known of them is made up."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study.plan import Plan, build_plan
from study.search.history import NoHistory
from study.settling.looks import Look
from study.spec import load_spec

sys.path.insert(0, str(Path(__file__).parent))

Value = Callable[[str, int, int], float]
"""(method, seed, fold) -> its metric."""


class Toy(NoHistory):
    """A results folder in memory. Runs end with a made-up value; NaN is a failed run."""

    def __init__(self, value: Value) -> None:
        self._value = value
        self.values: dict[str, float] = {}
        self.on_record: dict[str, tuple[Look, ...]] = {}
        self.evidence = self

    def ended(self, run_id: str) -> bool:
        return run_id in self.values

    def value(self, run_id: str, column: str) -> float:
        return self.values[run_id]

    def looks(self, comparison: str) -> tuple[Look, ...]:
        return self.on_record.get(comparison, ())

    def note(self, comparison: str, look: Look) -> None:
        self.on_record[comparison] = (*self.looks(comparison), look)

    def end_all(self, plan: Plan) -> Plan:
        """Every run of the plan ends; returns the plan after that."""
        for cell in plan.cells:
            for each in cell.replicates:
                self.values.setdefault(each.run_id, self._value(cell.method, each.seed, each.fold or 0))
        return self.look(plan)

    def look(self, plan: Plan) -> Plan:
        assert plan.rebuilt is not None
        return plan.rebuilt(self)

    def finish(self, plan: Plan) -> tuple[Plan, int]:
        """The plan when nothing is due any more, and in how many rounds."""
        for rounds in range(1, 100):
            plan = self.end_all(plan)
            if set(plan.runs) <= set(self.values):
                return plan, rounds
        raise AssertionError("never ends")


@pytest.fixture
def make_toy() -> type[Toy]:
    return Toy


@pytest.fixture
def make_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Writes `spec.yaml` into the working directory of the test and plans it."""
    monkeypatch.chdir(tmp_path)

    def make(text: str, *overrides: str) -> Plan:
        Path("spec.yaml").write_text(text, encoding="utf-8")
        return build_plan(load_spec("spec.yaml", overrides=overrides), resolve_data=False)

    return make


@pytest.fixture
def noise() -> Callable[[str, int], float]:
    """Small differences between runs that repeat."""
    return lambda method, seed: 0.001 * math.sin(len(method) * 12.9898 + seed * 78.233)
