"""Launches that train in rounds, until claims are settled; what a run comes to is made up, and Ray does not start."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from study.cli.app import app
from study.launch import LaunchOptions, Summary, driver, launch
from study.launch.trials import Parts
from study.plan import Plan, PlannedRun, build_plan
from study.spec import load_spec

SPEC = """
study: s
methods: {norm: {loss: norm_softmax}, ps: {loss: norm_softmax, synthesis: proxy_synthesis}}
untrained: false
claims: [ps > norm on map_at_r]
replicates: {seeds: 9, until_settled: {first: 3, every: 3}}
resources: {cpu: 3}
"""


@dataclass
class Rounds:
    """Stands for the trainings of a launch.

    Attributes:
        better: by how much `ps` beats `norm`, beside some noise.
        fails: whether a run fails.
        rounds: what was trained in each round.
        expected: CPU cores of each run by what the launch expected of it.
    """

    folder: Path
    better: float = 0.0
    fails: Callable[[PlannedRun], bool] = lambda run: False
    rounds: list[list[str]] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results" / "s"

    def launch(self, *overrides: str, **options: str | bool) -> Summary:
        (self.folder / "s.yaml").write_text(SPEC)
        plan = build_plan(load_spec(self.folder / "s.yaml", overrides=overrides), resolve_data=False)
        self.rounds.clear()
        chosen = LaunchOptions(cache=self.folder, **options)  # type: ignore[arg-type]
        return launch(plan, results=self.results, spec_text="", options=chosen)

    def train(self, due: Sequence[PlannedRun], *, plan: Plan, parts: Parts) -> None:
        self.rounds.append([run.run_id for run in due])
        for run in due:
            work = parts.book.costs.work.get(run.run_id)
            self.expected[run.run_id] = work.cpus if work else math.nan
            attempt = parts.ledger.new_attempt(run.run_id, generation=parts.lease.generation)
            parts.ledger.commit(self._row(run, attempt), generation=parts.lease.generation)

    def _row(self, run: PlannedRun, attempt: str) -> dict[str, object]:
        noise = 0.01 * math.sin(7 * run.seed + len(run.config.synthesis.name))
        value = 0.5 + self.better * (run.config.synthesis.name != "none") + noise
        row = {"run_id": run.run_id, "attempt": attempt, "seed": run.seed, "config": run.config.model_dump_json()}
        return {**row, "status": "failed" if self.fails(run) else "complete", "test_map_at_r": value}

    def trained(self) -> list[str]:
        return [run_id for ids in self.rounds for run_id in ids]


@pytest.fixture
def rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rounds:
    rounds = Rounds(tmp_path)
    monkeypatch.setattr(driver, "_train", rounds.train)
    return rounds


def test_what_every_round_will_cost_is_known_before_it_starts(rounds: Rounds) -> None:
    summary = rounds.launch()
    assert (summary.complete, summary.claims_settled, summary.left) == (18, 0, False)
    assert [len(ids) for ids in rounds.rounds] == [6, 6, 6]
    assert set(rounds.expected.values()) == {3.0}


def test_always_trains_the_runs_of_every_round_again(rounds: Rounds) -> None:
    """The claim was settled early, and further seeds lie in the folder from before it was asked for."""
    rounds.better = 0.3
    rounds.launch("replicates.until_settled=null")
    assert len(rounds.trained()) == 18
    settled = rounds.launch()
    assert (settled.planned, settled.trained, settled.claims_settled) == (6, 0, 1)
    rounds.better = 0.0
    summary = rounds.launch(policy="always")
    assert (summary.complete, summary.trained, summary.claims_settled) == (18, 18, 0)
    assert len(set(rounds.trained())) == len(rounds.trained()) == 18
    again = rounds.launch()
    assert (again.trained, again.complete) == (0, 18)


def test_retried_runs_are_tried_once(rounds: Rounds) -> None:
    rounds.fails = lambda run: run.seed == 1
    assert rounds.launch().failed == 2
    summary = rounds.launch(retry_failed=True)
    assert len(rounds.trained()) == 2 and summary.failed == 2


def test_runs_that_never_end_do_not_keep_a_launch(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def nothing(due: Sequence[PlannedRun], **how: object) -> None:
        asked.append(len(due))
        assert len(asked) < 5, "it goes on for ever"

    monkeypatch.setattr(driver, "_train", nothing)
    summary = rounds.launch()
    assert asked == [6]
    assert (summary.missing, summary.left) == (6, True)


def test_status_tells_that_claims_wait_for_more_seeds(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver was killed when a round was trained, and had not looked at the claims."""

    def killed(due: Sequence[PlannedRun], *, plan: Plan, parts: Parts) -> None:
        rounds.train(due, plan=plan, parts=parts)
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "_train", killed)
    with pytest.raises(KeyboardInterrupt):
        rounds.launch()
    shown = CliRunner().invoke(app, ["status", str(rounds.results)]).output
    assert "6 done, 0 running, 0 failed, 0 waiting" in shown and "goes on" in shown
    monkeypatch.setattr(driver, "_train", rounds.train)
    rounds.launch()
    shown = CliRunner().invoke(app, ["status", str(rounds.results)]).output
    assert "18 done" in shown and "goes on" not in shown and "next: `dml-study table" in shown
