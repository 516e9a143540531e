"""Launches that end early because of a time limit or a budget, and what they leave."""

from dataclasses import dataclass
from pathlib import Path

from launched import Here, checkpoints

from study.cli.running import BUDGET_REACHED, OUT_OF_TIME, _exit_code
from study.launch.gate import TimeLimit
from study.plan import build_plan
from study.spec import load_spec
from trainables.ledger import Ledger


@dataclass(frozen=True)
class UntilSomethingTrains(TimeLimit):
    """A limit that is over when a run has shown an epoch."""

    results: Path = Path()

    def left(self) -> float:
        return 0.0 if any(live.get("epoch") for live in Ledger.open(self.results).live()) else 1000.0


def test_a_launch_ends_before_its_time_and_saves_what_is_running(
    ray_here: None, tmp_path: Path, private_cache: Path
) -> None:
    here = Here(tmp_path, private_cache)
    limit = UntilSomethingTrains(1000.0, results=here.results)
    summary = here.launch(here.plan("[0.4]", epochs=1_000_000), limit=limit)
    assert (summary.out_of_time, summary.interrupted, summary.errors) == (True, False, [])
    assert summary.missing >= 2, "those that train"
    assert checkpoints(here.results)
    assert _exit_code(summary) == OUT_OF_TIME


def test_a_study_stops_at_its_number_of_runs(ray_here: None, tmp_path: Path, private_cache: Path) -> None:
    here = Here(tmp_path, private_cache)
    here.plan("[0.4, 1.0]")
    spec = load_spec(tmp_path / "s.yaml", overrides=["budget.runs=2"])
    summary = here.launch(build_plan(spec, cache=private_cache))
    assert (summary.trained, summary.missing, summary.out_of_time) == (2, 2, False)
    assert summary.budget.startswith("the budget is reached: 2 of 2 runs spent; raise `budget.runs` in the spec")
    assert _exit_code(summary) == BUDGET_REACHED
    again = here.launch(build_plan(spec, cache=private_cache))
    assert (again.trained, again.missing) == (0, 2)
